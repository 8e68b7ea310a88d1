/* main.c - echo_<kind> server|client DESCRIPTOR: what all kinds begin with. */
#include "echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    echo_shared *shared;

    if (argc != 3) {
        fprintf(stderr, "%s is run by echo_bench\n", argv[0]);
        return 2;
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED,
                  atoi(argv[2]), 0);
    if (shared == MAP_FAILED)
        echo_die("mmap");
    if (strcmp(argv[1], "server") == 0) {
        shared->server_pid = getpid();
        echo_server(shared);
    } else {
        echo_client(shared);
    }
    return 1; /* neither returns */
}
