#include <weft/address.h>
#include <weft/status.h>

#include <stdio.h>
#include <string.h>

#ifdef WITH_PROTO
#include "ping.pb-c.h"
#endif

int main(void)
{
    if (strcmp(weft_status_name(WEFT_OK), "OK") != 0)
        return 1;
#ifdef WITH_PROTO
    Ping__Probe probe = PING__PROBE__INIT;

    probe._hop_case = PING__PROBE___HOP_HOP;
    if (ping__probe__get_packed_size(&probe) != 2 ||
        strcmp(ping__pinger__descriptor.methods[0].name, "Ping") != 0)
        return 2;
#endif
    puts("consumer: ok");
    return 0;
}
