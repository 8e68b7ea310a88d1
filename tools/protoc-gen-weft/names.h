/* names.h - the C names that protoc-gen-c derives from protobuf names, and the
 * ones that a C or C++ compiler will not have.
 *
 * protoc-gen-c (protobuf-c 1.4) makes a full name "my.pkg.GetIt" into
 *   lower   my__pkg__get_it     functions, descriptors
 *   upper   MY__PKG__GET_IT     macros, enumerators
 *   type    My__Pkg__GetIt      types
 * It starts a word wherever a capital follows a character that is not one, so
 * GetHTTPInfo is get_httpinfo.  Fields are only lowered, and get a '_' when
 * that is a word of C++98; rpc names get none. */
#ifndef PROTOC_GEN_WEFT_NAMES_H
#define PROTOC_GEN_WEFT_NAMES_H

#include <stdbool.h>

/* All of these share their result (text.h). */
char *name_lower(const char *full_name);
char *name_upper(const char *full_name);
char *name_type(const char *full_name);
char *name_of_field(const char *field);

enum name_verdict {
    NAME_GOOD,
    NAME_NOTE,  /* fine in C11, but not in C23 or C++ */
    NAME_BROKEN /* does not compile */
};

/* Whether a struct member may have this C name; *why (static) completes the
 * sentence '"x" is …'. */
enum name_verdict name_check(const char *c_name, const char **why);

#endif
