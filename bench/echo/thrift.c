/* thrift.c - Thrift's C library: framed transport, binary protocol.
 *
 * Its server takes one connection at a time, so a thread per connection is
 * added; and a connection carries one call at a time, so 1 x 64 is 64
 * connections here, each with a thread of its own in the client too. */
#include "pace.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <thrift/c_glib/protocol/thrift_binary_protocol.h>
#include <thrift/c_glib/transport/thrift_framed_transport.h>
#include <thrift/c_glib/transport/thrift_server_socket.h>
#include <thrift/c_glib/transport/thrift_socket.h>
#include <time.h>

#include "order.h"
#include "thrift_order.h"

#define STACK_BYTES (256 * 1024)

/* The handler: both replies are the request itself, with one more reference. */
typedef struct EchoImpl {
    benchEchoHandler parent;
} EchoImpl;
typedef struct EchoImplClass {
    benchEchoHandlerClass parent;
} EchoImplClass;

GType echo_impl_get_type(void);
G_DEFINE_TYPE(EchoImpl, echo_impl, BENCH_TYPE_ECHO_HANDLER)

static gboolean echo_bytes(benchEchoIf *iface, GByteArray **reply,
                           const GByteArray *data, GError **error)
{
    (void)iface, (void)error;
    if (*reply != NULL)
        g_byte_array_unref(*reply);
    *reply = g_byte_array_ref((GByteArray *)data);
    return TRUE;
}

static gboolean echo_order(benchEchoIf *iface, benchOrder **reply,
                           const benchOrder *order, GError **error)
{
    (void)iface, (void)error;
    if (*reply != NULL)
        g_object_unref(*reply);
    *reply = g_object_ref((benchOrder *)order);
    return TRUE;
}

static void echo_impl_class_init(EchoImplClass *class)
{
    class->parent.echo = echo_bytes;
    class->parent.echo_order = echo_order;
}

static void echo_impl_init(EchoImpl *self)
{
    (void)self;
}

/* The generated code registers its types when they are first used, which two
 * threads must not do at the same time. */
static void register_types(void)
{
    (void)bench_customer_get_type(), (void)bench_address_get_type();
    (void)bench_item_get_type(), (void)bench_attribute_get_type();
    (void)bench_order_get_type(), (void)bench_echo_if_get_type();
    (void)bench_echo_client_get_type(), (void)echo_impl_get_type();
    (void)bench_echo_processor_get_type();
    (void)bench_echo_echo_args_get_type();
    (void)bench_echo_echo_result_get_type();
    (void)bench_echo_echo_order_args_get_type();
    (void)bench_echo_echo_order_result_get_type();
}

static ThriftProtocol *protocol_over(ThriftTransport *socket)
{
    ThriftTransport *framed =
        g_object_new(THRIFT_TYPE_FRAMED_TRANSPORT, "transport", socket, NULL);
    int one = 1;

    setsockopt(THRIFT_SOCKET(socket)->sd, IPPROTO_TCP, TCP_NODELAY, &one,
               sizeof(one));
    return g_object_new(THRIFT_TYPE_BINARY_PROTOCOL, "transport", framed, NULL);
}

static void start_thread(void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, run, arg) != 0)
        echo_die("pthread_create");
}

static ThriftProcessor *processor;

static void *serve(void *socket)
{
    ThriftProtocol *protocol = protocol_over(socket);
    GError *error = NULL;

    while (thrift_processor_process(processor, protocol, protocol, &error))
        ;
    g_clear_error(&error);
    return NULL; /* the run is over soon: nothing is given back */
}

/* Thrift logs every connection that ends. */
static void drop_log(const gchar *domain, GLogLevelFlags level,
                     const gchar *message, gpointer user)
{
    (void)domain, (void)level, (void)message, (void)user;
}

void echo_server(echo_shared *shared)
{
    ThriftServerTransport *listener = g_object_new(
        THRIFT_TYPE_SERVER_SOCKET, "port", 0, "backlog", 1024, NULL);
    struct sockaddr_in in;
    socklen_t len = sizeof(in);
    GError *error = NULL;

    g_log_set_default_handler(drop_log, NULL);
    register_types();
    processor = g_object_new(BENCH_TYPE_ECHO_PROCESSOR, "handler",
                             g_object_new(echo_impl_get_type(), NULL), NULL);
    if (!thrift_server_transport_listen(listener, &error) ||
        getsockname(THRIFT_SERVER_SOCKET(listener)->sd, (struct sockaddr *)&in,
                    &len) != 0)
        echo_die("thrift: listen");
    shared->port = ntohs(in.sin_port);
    for (;;) {
        ThriftTransport *socket =
            thrift_server_transport_accept(listener, &error);

        if (socket == NULL)
            echo_die("thrift: accept");
        start_thread(serve, socket);
    }
}

static echo_shared *run;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of: */
static pace paced;
static pthread_barrier_t connected;

static bool call(benchEchoIf *client, const GByteArray *data,
                 const benchOrder *order)
{
    GError *error = NULL;
    bool ok;

    if (order != NULL) {
        benchOrder *reply = g_object_new(BENCH_TYPE_ORDER, NULL);

        ok = bench_echo_client_echo_order(client, &reply, order, &error) &&
             reply->id == order->id;
        g_object_unref(reply);
    } else {
        GByteArray *reply = NULL;

        ok = bench_echo_client_echo(client, &reply, data, &error) &&
             reply->len == data->len;
        if (reply != NULL)
            g_byte_array_unref(reply);
    }
    g_clear_error(&error);
    return ok;
}

static uint64_t sleep_until(uint64_t ns)
{
    struct timespec ts = {(time_t)(ns / 1000000000U), (long)(ns % 1000000000U)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
    return echo_now_ns();
}

static _Noreturn void *make_calls(void *arg)
{
    ThriftTransport *socket =
        g_object_new(THRIFT_TYPE_SOCKET, "hostname", "127.0.0.1", "port",
                     (guint)run->port, NULL);
    GByteArray *data = g_byte_array_new();
    ThriftProtocol *protocol;
    benchOrder *order = run->load.order ? thrift_order() : NULL;
    benchEchoIf *client;
    GError *error = NULL;
    uint64_t now;

    (void)arg;
    g_byte_array_set_size(data, run->load.payload_bytes);
    if (!thrift_transport_open(socket, &error))
        echo_die("thrift: connect");
    protocol = protocol_over(socket);
    client = g_object_new(BENCH_TYPE_ECHO_CLIENT, "input_protocol", protocol,
                          "output_protocol", protocol, NULL);
    pthread_barrier_wait(&connected);
    now = echo_now_ns();
    for (;;) {
        uint64_t from;
        bool ok;

        pthread_mutex_lock(&lock);
        from = pace_reserve(&paced, now);
        pthread_mutex_unlock(&lock);
        if (from > now)
            (void)sleep_until(from);
        ok = call(client, data, order);
        pthread_mutex_lock(&lock);
        now = echo_now_ns();
        pace_record(&paced, from, now, ok);
        pthread_mutex_unlock(&lock);
    }
}

void echo_client(echo_shared *shared)
{
    uint32_t threads = shared->load.connections * shared->load.in_flight;

    run = shared;
    register_types();
    pthread_barrier_init(&connected, NULL, threads + 1);
    for (uint32_t i = 0; i < threads; i++)
        start_thread(make_calls, NULL);
    pthread_mutex_lock(&lock); /* until the pace is set */
    pthread_barrier_wait(&connected);
    pace_init(&paced, shared);
    pthread_mutex_unlock(&lock);
    for (;;)
        (void)sleep_until(UINT64_MAX / 2);
}
