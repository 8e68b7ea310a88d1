/* weft/weft.h - all of Weft. */
#ifndef WEFT_H
#define WEFT_H

#include <weft/address.h>
#include <weft/arena.h>
#include <weft/balancer.h>
#include <weft/channel.h>
#include <weft/consul.h>
#include <weft/endpoint.h>
#include <weft/group.h>
#include <weft/histogram.h>
#include <weft/log.h>
#include <weft/loop.h>
#include <weft/mem.h>
#include <weft/metadata.h>
#include <weft/observe.h>
#include <weft/plugin.h>
#include <weft/pool.h>
#include <weft/resolver.h>
#include <weft/server.h>
#include <weft/status.h>
#include <weft/timer.h>

/* Sets one option of a _conf struct from text, for environments and files:
 * weft_conf_set(&conf, "drain_ms", "5s", &why).  See weft/conf.h. */
#define weft_conf_set(conf, name, value, why)                                  \
    weft_conf_set_field(WEFT_CONF_SPEC_OF(conf), conf, name, value, why)

#ifndef __cplusplus
#define WEFT_CONF_SPEC_OF(conf)                                                \
    _Generic((conf), weft_loop_conf *                                          \
             : &weft_loop_conf_spec, weft_server_conf *                        \
             : &weft_server_conf_spec, weft_channel_conf *                     \
             : &weft_channel_conf_spec, weft_consul_conf *                     \
             : &weft_consul_conf_spec)
#endif

#endif /* WEFT_H */
