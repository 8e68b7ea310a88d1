/* lend.c - statements of a snippet that sends a file, inside a function. */
#include <stdlib.h>
#include <weft/weft.h>

/* As protoc-gen-c writes it for service Store { rpc Put(File) ... }. */
typedef struct File {
    ProtobufCMessage base;
    ProtobufCBinaryData content;
} File;

void store__put(ProtobufCService *service, const File *input,
                void (*closure)(const File *reply, void *user), void *user);
void on_stored(const File *reply, void *user);
void snippet(weft_stub stub, File file, void *data, size_t len, void *user);

void snippet(weft_stub stub, File file, void *data, size_t len, void *user)
{
    /* snippet */
}
