#include "lint.h"

#include "names.h"
#include "symbols.h"

#include <google/protobuf/descriptor.pb-c.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef Google__Protobuf__FileDescriptorProto File;
typedef Google__Protobuf__DescriptorProto Message;
typedef Google__Protobuf__FieldDescriptorProto Field;
typedef Google__Protobuf__EnumDescriptorProto Enum;
typedef Google__Protobuf__ServiceDescriptorProto Service;
typedef Google__Protobuf__MethodDescriptorProto Method;

/* Field numbers of descriptor.proto, of which a source location's path is made
 * (SourceCodeInfo.Location there). */
enum {
    FILE_MESSAGE = 4,
    FILE_ENUM = 5,
    FILE_SERVICE = 6,
    FILE_OPTIONS = 8,
    OPTIONS_OPTIMIZE_FOR = 9,
    MESSAGE_FIELD = 2,
    MESSAGE_NESTED = 3,
    MESSAGE_ENUM = 4,
    MESSAGE_ONEOF = 8,
    ENUM_VALUE = 2,
    SERVICE_METHOD = 2,
    MAX_NESTING = 64,
    MAX_PROBLEMS = 50
};

struct lint_state {
    const struct lint_options *options;
    struct lint_report *report;
    struct symbols symbols; /* of all files */
    const File *file;       /* the one being looked at */
    bool generated;         /* …is generated in this run */
    int32_t path[2 * MAX_NESTING + 4];
    size_t path_len;
};

static void push(struct lint_state *l, int32_t kind, size_t index)
{
    l->path[l->path_len++] = kind;
    l->path[l->path_len++] = (int32_t)index;
}

static void pop(struct lint_state *l)
{
    l->path_len -= 2;
}

/* The line of what the path names, or of what it stands in. */
static int line_here(const struct lint_state *l)
{
    const Google__Protobuf__SourceCodeInfo *info = l->file->source_code_info;

    if (info == NULL)
        return 0;
    for (size_t len = l->path_len; len > 0; len -= len >= 2 ? 2 : 1) {
        for (size_t i = 0; i < info->n_location; i++) {
            const Google__Protobuf__SourceCodeInfo__Location *at =
                info->location[i];

            if (at->n_path == len && at->n_span > 0 &&
                memcmp(at->path, l->path, len * sizeof(l->path[0])) == 0)
                return at->span[0] + 1;
        }
    }
    return 0;
}

static struct origin origin_here(const struct lint_state *l, const char *what)
{
    return (struct origin){.what = what,
                           .file = l->file->name,
                           .line = line_here(l),
                           .generated = l->generated};
}

static void problem(struct lint_state *l, const struct origin *at,
                    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void problem(struct lint_state *l, const struct origin *at,
                    const char *fmt, ...)
{
    struct text *out = &l->report->errors;
    char sentence[1024];
    va_list args;

    if (++l->report->n_errors > MAX_PROBLEMS)
        return;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof(sentence), fmt, args);
    va_end(args);
    text_appendf(out, "%s:%d: %s %s\n", at->file, at->line, at->what, sentence);
}

static void note(struct lint_state *l, const struct origin *at, const char *why,
                 const char *c_name)
{
    text_appendf(
        &l->report->notes,
        "%s:%d: note: %s becomes \"%s\" in C, %s: such programs cannot "
        "include the header\n",
        at->file, at->line, at->what, c_name, why);
}

/* In a file without a package, full names start with a '.'. */
static struct origin origin_of(const struct lint_state *l, const char *kind,
                               const char *full_name)
{
    return origin_here(
        l, text_format("%s \"%s\"", kind, full_name + (full_name[0] == '.')));
}

/* The symbols of a file; the names in front of the others are type, lower and
 * upper, as names.h has them. */
static void add(struct lint_state *l, struct origin by, const char *stem,
                const char *suffix)
{
    symbols_add(&l->symbols, text_format("%s%s", stem, suffix), by);
}

static void lint_clash(const char *name, const struct origin *first,
                       const struct origin *second, void *user)
{
    if (first->file == NULL)
        problem(user, second,
                "has the C name \"%s\", which %s; choose another name", name,
                first->what);
    else
        problem(
            user, second,
            "has the same C name, \"%s\", as %s (%s:%d); rename one of them",
            name, first->what, first->file, first->line);
}

static void lint_members(struct lint_state *l, struct symbols *members)
{
    symbols_clashes(members, lint_clash, l);
    symbols_fini(members);
}

static const struct origin TAKEN_BASE = {
    .what = "protobuf-c puts first into every message and service"};

#define TYPE(name) GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__TYPE__TYPE_##name
#define LABEL(name)                                                            \
    GOOGLE__PROTOBUF__FIELD_DESCRIPTOR_PROTO__LABEL__LABEL_##name

/* Optional scalars of proto2 have a has_ member beside them. */
static bool has_presence_flag(const File *file, const Field *field)
{
    return (file->syntax == NULL || strcmp(file->syntax, "proto3") != 0) &&
           field->label == LABEL(OPTIONAL) && !field->has_oneof_index &&
           field->type != TYPE(STRING) && field->type != TYPE(MESSAGE);
}

static void lint_field(struct lint_state *l, const Field *field,
                       struct symbols *members)
{
    const char *name = name_of_field(field->name), *why;
    struct origin here =
        origin_here(l, text_format("field \"%s\"", field->name));

    if (field->type == TYPE(GROUP))
        problem(l, &here,
                "is a group, which protobuf-c does not support; make it a "
                "message and a field of that type");
    switch (name_check(name, &why)) {
    case NAME_BROKEN:
        problem(l, &here,
                "becomes \"%s\" in C, which is %s; rename it, for example "
                "\"%s_value\" (fields travel by number, so old peers do not "
                "notice)",
                name, why, field->name);
        break;
    case NAME_NOTE:
        note(l, &here, why, name);
        break;
    case NAME_GOOD:
        break;
    }

    symbols_add(members, name, here);
    if (field->label == LABEL(REPEATED))
        symbols_add(members, text_format("n_%s", name), here);
    else if (has_presence_flag(l->file, field))
        symbols_add(members, text_format("has_%s", name), here);
}

/* What its author wrote: a oneof, or the optional field for which protoc made
 * up a oneof of its own. */
static struct origin origin_of_oneof(struct lint_state *l,
                                     const Message *message, size_t index)
{
    struct origin here;

    for (size_t i = 0; i < message->n_field; i++) {
        const Field *field = message->field[i];

        if (!field->proto3_optional || field->oneof_index != (int32_t)index)
            continue;
        push(l, MESSAGE_FIELD, i);
        here = origin_of(l, "optional field", field->name);
        pop(l);
        return here;
    }
    push(l, MESSAGE_ONEOF, index);
    here = origin_of(l, "oneof", message->oneof_decl[index]->name);
    pop(l);
    return here;
}

/* A oneof's member, and the enumerators that tell which field is set. */
static void lint_oneof(struct lint_state *l, const Message *message,
                       const char *full_name, size_t index,
                       struct symbols *members)
{
    const char *name = message->oneof_decl[index]->name;
    const char *upper =
        text_format("%s__%s", name_upper(full_name), name_upper(name));
    struct origin here = origin_of_oneof(l, message, index);

    symbols_add(members, text_format("%s_case", name_lower(name)), here);
    add(l, here, name_type(text_format("%s.%s", full_name, name)), "Case");
    add(l, here, upper, "__NOT_SET");
    for (size_t i = 0; i < message->n_field; i++) {
        const Field *field = message->field[i];

        if (field->has_oneof_index && field->oneof_index == (int32_t)index)
            add(l, here, upper, text_format("_%s", name_upper(field->name)));
    }
}

static void lint_enum(struct lint_state *l, const Enum *e, const char *scope)
{
    const char *full_name = text_format("%s.%s", scope, e->name);
    const char *upper = name_upper(full_name);
    struct origin here = origin_of(l, "enum", full_name);

    add(l, here, name_type(full_name), "");
    add(l, here, name_lower(full_name), "__descriptor");
    for (size_t i = 0; i < e->n_value; i++) {
        push(l, ENUM_VALUE, i);
        add(l,
            origin_here(l, text_format("enum value \"%s\"", e->value[i]->name)),
            upper, text_format("__%s", e->value[i]->name));
        pop(l);
    }
}

static void lint_message(struct lint_state *l, const Message *m,
                         const char *scope, bool nested)
{
    static const char *const HELPERS[] = {"__get_packed_size", "__pack",
                                          "__pack_to_buffer", "__unpack",
                                          "__free_unpacked"};
    const char *full_name = text_format("%s.%s", scope, m->name);
    const char *lower = name_lower(full_name), *type = name_type(full_name);
    struct origin here = origin_of(l, "message", full_name);
    struct symbols members = {0};

    if (l->path_len >= 2 * MAX_NESTING) {
        problem(l, &here, "is nested more than %d deep; move it out",
                MAX_NESTING);
        return;
    }
    add(l, here, type, "");
    add(l, here, type, "_Closure");
    add(l, here, name_upper(full_name), "__INIT");
    add(l, here, lower, "__init");
    add(l, here, lower, "__descriptor");
    for (size_t i = 0; !nested && i < sizeof(HELPERS) / sizeof(HELPERS[0]); i++)
        add(l, here, lower, HELPERS[i]);

    symbols_add(&members, "base", TAKEN_BASE);
    for (size_t i = 0; i < m->n_oneof_decl; i++)
        lint_oneof(l, m, full_name, i, &members);
    for (size_t i = 0; l->generated && i < m->n_field; i++) {
        push(l, MESSAGE_FIELD, i);
        lint_field(l, m->field[i], &members);
        pop(l);
    }
    lint_members(l, &members);

    for (size_t i = 0; i < m->n_enum_type; i++) {
        push(l, MESSAGE_ENUM, i);
        lint_enum(l, m->enum_type[i], full_name);
        pop(l);
    }
    for (size_t i = 0; i < m->n_nested_type; i++) {
        push(l, MESSAGE_NESTED, i);
        lint_message(l, m->nested_type[i], full_name, true);
        pop(l);
    }
}

static void lint_method(struct lint_state *l, const Method *method,
                        const char *service_lower)
{
    const char *name = name_lower(method->name), *why;
    struct origin here =
        origin_here(l, text_format("rpc \"%s\"", method->name));

    if ((method->client_streaming || method->server_streaming) &&
        !l->options->allow_streams)
        problem(
            l, &here,
            "streams, but the functions generated from it would be unary; "
            "drop \"stream\", move it to a .proto of its own, or say "
            "ALLOW_STREAMS (plugin option allow_streams) to get them anyway");
    switch (name_check(name, &why)) {
    case NAME_BROKEN:
        problem(l, &here,
                "becomes \"%s\" in C, which is %s; rename it, for example "
                "\"%sIt\" (the name travels with each call: on all peers)",
                name, why, method->name);
        break;
    case NAME_NOTE:
        note(l, &here, why, name);
        break;
    case NAME_GOOD:
        break;
    }
    if (strcmp(name, "base") == 0)
        lint_clash(name, &TAKEN_BASE, &here, l);
    add(l, here, service_lower, text_format("__%s", name));
}

static void lint_service(struct lint_state *l, const Service *s,
                         const char *scope)
{
    const char *full_name = text_format("%s.%s", scope, s->name);
    const char *lower = name_lower(full_name), *type = name_type(full_name);
    const char *upper = name_upper(full_name);
    struct origin here = origin_of(l, "service", full_name);

    add(l, here, type, "_Service");
    add(l, here, type, "_ServiceDestroy");
    add(l, here, upper, "__INIT");
    add(l, here, upper, "__BASE_INIT");
    add(l, here, lower, "__init");
    add(l, here, lower, "__descriptor");
    add(l, here, lower, "__method_indices_by_name");
    add(l, here, lower, "__method_descriptors");

    for (size_t i = 0; l->generated && i < s->n_method; i++) {
        push(l, SERVICE_METHOD, i);
        lint_method(l, s->method[i], lower);
        pop(l);
    }
}

static void lint_options(struct lint_state *l)
{
    const File *file = l->file;

    if (!l->generated || file->n_service == 0 || file->options == NULL ||
        file->options->optimize_for !=
            GOOGLE__PROTOBUF__FILE_OPTIONS__OPTIMIZE_MODE__CODE_SIZE)
        return;
    push(l, FILE_OPTIONS, OPTIONS_OPTIMIZE_FOR);
    problem(l,
            &(struct origin){.what = "optimize_for = CODE_SIZE",
                             .file = file->name,
                             .line = line_here(l)},
            "leaves services and methods without names, so that they cannot be "
            "called; use SPEED, or LITE_RUNTIME, in files that have services");
    pop(l);
}

static void lint_file(struct lint_state *l, const File *file)
{
    const char *package = file->package != NULL ? file->package : "";

    l->file = file;
    lint_options(l);
    for (size_t i = 0; i < file->n_message_type; i++) {
        push(l, FILE_MESSAGE, i);
        lint_message(l, file->message_type[i], package, false);
        pop(l);
    }
    for (size_t i = 0; i < file->n_enum_type; i++) {
        push(l, FILE_ENUM, i);
        lint_enum(l, file->enum_type[i], package);
        pop(l);
    }
    for (size_t i = 0; i < file->n_service; i++) {
        push(l, FILE_SERVICE, i);
        lint_service(l, file->service[i], package);
        pop(l);
    }
}

static bool
is_generated(const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
             const char *name)
{
    for (size_t i = 0; i < request->n_file_to_generate; i++)
        if (strcmp(request->file_to_generate[i], name) == 0)
            return true;
    return false;
}

void lint(const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
          const struct lint_options *options, struct lint_report *report)
{
    struct lint_state l = {.options = options, .report = report};

    memset(report, 0, sizeof(*report));
    text_append(&report->errors, "", 0);
    text_append(&report->notes, "", 0);
    for (size_t i = 0; i < request->n_proto_file; i++) {
        l.generated = is_generated(request, request->proto_file[i]->name);
        lint_file(&l, request->proto_file[i]);
    }
    symbols_clashes(&l.symbols, lint_clash, &l);
    symbols_fini(&l.symbols);
    if (report->n_errors > MAX_PROBLEMS)
        text_appendf(&report->errors, "...and %u more\n",
                     report->n_errors - MAX_PROBLEMS);
}

void lint_report_fini(struct lint_report *report)
{
    text_fini(&report->errors);
    text_fini(&report->notes);
}
