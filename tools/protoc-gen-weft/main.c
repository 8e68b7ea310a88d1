/* protoc-gen-weft - a protoc plugin: protoc-gen-c, with a guard in front.
 *
 *   protoc --plugin=protoc-gen-weft --weft_out=[OPTIONS:]DIR file.proto
 *
 * It refuses what protoc-gen-c would turn into broken C (lint.h), then hands
 * the very request on to protoc-gen-c and passes its answer back.  It claims
 * FEATURE_PROTO3_OPTIONAL, which protoc-gen-c does not although it generates
 * such fields well (as one-field oneofs): protoc then lets `optional` through.
 *
 * Options, separated by commas; others go to protoc-gen-c:
 *   allow_streams        streaming rpcs get unary functions instead of an error
 *   protoc_gen_c=PATH    the protoc-gen-c to run (default: from PATH) */
#include "lint.h"
#include "text.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <google/protobuf/compiler/plugin.pb-c.h>

typedef Google__Protobuf__Compiler__CodeGeneratorRequest Request;
typedef Google__Protobuf__Compiler__CodeGeneratorResponse Response;

struct conf {
    struct lint_options lint;
    const char *protoc_gen_c;
    struct text passed_on; /* options for protoc-gen-c */
};

static int fail(const char *what)
{
    fprintf(stderr, "protoc-gen-weft: %s: %s\n", what, strerror(errno));
    return 1;
}

static int read_all(int fd, struct text *out)
{
    char chunk[65536];

    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n == 0)
            return 0;
        if (n > 0)
            text_append(out, chunk, (size_t)n);
        else if (errno != EINTR)
            return -1;
    }
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);

        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

static void parse_options(const char *parameter, struct conf *conf)
{
    char *rest = parameter != NULL ? text_format("%s", parameter) : NULL;

    conf->protoc_gen_c = "protoc-gen-c";
    text_append(&conf->passed_on, "", 0);
    for (char *one; (one = strsep(&rest, ",")) != NULL;) {
        if (strcmp(one, "allow_streams") == 0)
            conf->lint.allow_streams = true;
        else if (strncmp(one, "protoc_gen_c=", 13) == 0)
            conf->protoc_gen_c = one + 13;
        else if (*one != '\0')
            text_appendf(&conf->passed_on, "%s%s",
                         conf->passed_on.len > 0 ? "," : "", one);
    }
}

/* Of a field that occurs twice the last one counts, so appending sets it, and
 * the bytes that protoc wrote stay as they are. */
static void append_varint(struct text *out, size_t value)
{
    for (; value > 0x7f; value >>= 7)
        text_append(out, &(unsigned char){(unsigned char)(value | 0x80)}, 1);
    text_append(out, &(unsigned char){(unsigned char)value}, 1);
}

static void set_parameter(struct text *request, const struct text *parameter)
{
    append_varint(request, 2 << 3 | 2); /* CodeGeneratorRequest.parameter */
    append_varint(request, parameter->len);
    text_append(request, parameter->bytes, parameter->len);
}

static void set_features(struct text *response)
{
    append_varint(response,
                  2 << 3); /* CodeGeneratorResponse.supported_features */
    append_varint(
        response,
        GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__FEATURE__FEATURE_PROTO3_OPTIONAL);
}

static int answer_error(char *error)
{
    Response response =
        GOOGLE__PROTOBUF__COMPILER__CODE_GENERATOR_RESPONSE__INIT;
    struct text out = {0};
    size_t len;
    int rc;

    response.error = error;
    len = google__protobuf__compiler__code_generator_response__get_packed_size(
        &response);
    out.bytes = grow(NULL, len + 64, 1);
    out.capacity = len + 64;
    out.len = google__protobuf__compiler__code_generator_response__pack(
        &response, (uint8_t *)out.bytes);
    set_features(&out);
    rc = write_all(STDOUT_FILENO, out.bytes, out.len);
    text_fini(&out);
    return rc == 0 ? 0 : fail("write");
}

/* protoc-gen-c reads all of its input before it writes, so that writing first
 * and reading then cannot lock. */
static int run_protoc_gen_c(const char *program, const struct text *request,
                            struct text *response)
{
    int in[2], out[2], status;
    pid_t pid;

    if (pipe(in) != 0 || pipe(out) != 0)
        return fail("pipe");
    pid = fork();
    if (pid < 0)
        return fail("fork");
    if (pid == 0) {
        if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0)
            _exit(fail("dup2"));
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        /* protoc-gen-c and protoc-c are one program, which looks at its name.
         */
        execlp(program, "protoc-gen-c", (char *)NULL);
        _exit(fail(program));
    }
    close(in[0]);
    close(out[1]);
    if (write_all(in[1], request->bytes, request->len) != 0)
        fail("write to protoc-gen-c");
    close(in[1]);
    if (read_all(out[0], response) != 0)
        fail("read from protoc-gen-c");
    close(out[0]);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return fail("waitpid");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (WIFSIGNALED(status))
        fprintf(stderr, "protoc-gen-weft: %s was killed by signal %d\n",
                program, WTERMSIG(status));
    else
        fprintf(stderr, "protoc-gen-weft: %s failed\n", program);
    return 1;
}

static int generate(struct text *raw, struct conf *conf)
{
    struct text response = {0};
    int rc;

    set_parameter(raw, &conf->passed_on);
    rc = run_protoc_gen_c(conf->protoc_gen_c, raw, &response);
    if (rc == 0) {
        set_features(&response);
        if (write_all(STDOUT_FILENO, response.bytes, response.len) != 0)
            rc = fail("write");
    }
    text_fini(&response);
    return rc;
}

int main(int argc, char **argv)
{
    struct text raw = {0};
    struct lint_report report;
    struct conf conf = {0};
    Request *request;
    int rc;

    if (argc > 1) {
        fprintf(stderr,
                "protoc-gen-weft: takes no arguments (%s); protoc starts it:\n"
                "  protoc --plugin=protoc-gen-weft --weft_out=DIR file.proto\n",
                argv[1]);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    text_append(&raw, "", 0);
    if (read_all(STDIN_FILENO, &raw) != 0)
        return fail("read");
    request = google__protobuf__compiler__code_generator_request__unpack(
        NULL, raw.len, (const uint8_t *)raw.bytes);
    if (request == NULL) {
        fputs("protoc-gen-weft: standard input is no CodeGeneratorRequest; "
              "protoc starts this program (--plugin=protoc-gen-weft)\n",
              stderr);
        text_fini(&raw);
        return 1;
    }
    parse_options(request->parameter, &conf);
    lint(request, &conf.lint, &report);
    fputs(report.notes.bytes, stderr);
    if (report.n_errors > 0)
        rc = answer_error(text_format(
            "refused:\n%.*s", (int)report.errors.len - 1, report.errors.bytes));
    else
        rc = generate(&raw, &conf);

    lint_report_fini(&report);
    google__protobuf__compiler__code_generator_request__free_unpacked(request,
                                                                      NULL);
    text_fini(&conf.passed_on);
    text_fini(&raw);
    text_free_all();
    return rc;
}
