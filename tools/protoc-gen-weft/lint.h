/* lint.h - what protoc-gen-c would turn into C that does not compile, or that
 * cannot work as a service.
 *
 * Refused, each with file, line and advice: rpc and field names that are words
 * of C; names that protobuf-c itself needs (base, init, descriptor); any two
 * declarations whose C names are the same; groups (protoc-gen-c crashes on
 * them); services under optimize_for = CODE_SIZE (their descriptors have no
 * names to call by); streaming rpcs (their generated functions would look
 * unary).  Noted: names that C23 or C++ programs cannot use. */
#ifndef PROTOC_GEN_WEFT_LINT_H
#define PROTOC_GEN_WEFT_LINT_H

#include "text.h"

#include <stdbool.h>

#include <google/protobuf/compiler/plugin.pb-c.h>

struct lint_options {
    bool allow_streams; /* generate unary functions for streaming rpcs */
};

struct lint_report {
    struct text errors, notes; /* lines "file:line: ..." */
    unsigned n_errors;
};

/* Looks at the files that the request asks to generate (imports count only as
 * owners of names).  The report is given: release it with lint_report_fini. */
void lint(const Google__Protobuf__Compiler__CodeGeneratorRequest *request,
          const struct lint_options *options, struct lint_report *report);

void lint_report_fini(struct lint_report *report);

#endif
