/* guide_limits.c - the tables of options in docs/guide.md are those of the
 * code.
 *
 *     guide_limits GUIDE           fails when they differ
 *     guide_limits GUIDE --write   puts them there
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/weft.h>

#define MARK "<!-- generated: limits -->\n"

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text;
    long size;

    if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
        perror(path);
        exit(2);
    }
    rewind(f);
    text = calloc(1, (size_t)size + 1);
    if (text == NULL || fread(text, 1, (size_t)size, f) != (size_t)size)
        exit(2);
    fclose(f);
    return text;
}

int main(int argc, char **argv)
{
    static const weft_conf_spec *const specs[] = {
        &weft_server_conf_spec, &weft_channel_conf_spec, &weft_consul_conf_spec,
        &weft_loop_conf_spec, &weft_pool_conf_spec};
    char *guide, *at, *tables = NULL;
    size_t size = 0;
    FILE *out;

    if (argc < 2)
        return 2;
    guide = read_all(argv[1]);
    if ((at = strstr(guide, MARK)) == NULL) {
        fprintf(stderr, "%s: no line %s", argv[1], MARK);
        return 1;
    }
    at += strlen(MARK);
    out = open_memstream(&tables, &size);
    for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
        fprintf(out, "\n### %s\n\n", specs[i]->name);
        weft_conf_document(specs[i], out);
    }
    fclose(out);
    if (argc > 2 && strcmp(argv[2], "--write") == 0) {
        FILE *f = fopen(argv[1], "wb");
        if (f == NULL) {
            perror(argv[1]);
            return 2;
        }
        fwrite(guide, 1, (size_t)(at - guide), f);
        fwrite(tables, 1, size, f);
        fclose(f);
    } else if (strcmp(at, tables) != 0) {
        fprintf(stderr,
                "%s: the tables differ from the code: run guide_limits %s "
                "--write\n",
                argv[1], argv[1]);
        return 1;
    }
    free(guide);
    free(tables);
    return 0;
}
