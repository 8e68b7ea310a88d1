/* gorpc_client.c - gorpc's client: one call per connection, from a pool. */
#include "gorpc_bytes.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool gorpc_send_all(int fd, const void *data, size_t len)
{
    const uint8_t *p = data;

    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool gorpc_recv_all(int fd, void *data, size_t len)
{
    uint8_t *p = data;

    while (len > 0) {
        ssize_t n = recv(fd, p, len, 0);

        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

int gorpc_dial(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

void gorpc_client_init(gorpc_client *c, uint16_t port)
{
    memset(c, 0, sizeof(*c));
    c->port = port;
    pthread_mutex_init(&c->lock, NULL);
}

void gorpc_client_fini(gorpc_client *c)
{
    for (unsigned i = 0; i < c->n_idle; i++)
        close(c->idle[i]);
    c->n_idle = 0;
    pthread_mutex_destroy(&c->lock);
}

static int take(gorpc_client *c)
{
    int fd = -1;

    pthread_mutex_lock(&c->lock);
    if (c->n_idle > 0) {
        fd = c->idle[0];
        memmove(c->idle, c->idle + 1, --c->n_idle * sizeof(c->idle[0]));
    } else {
        c->dialed++;
    }
    pthread_mutex_unlock(&c->lock);
    return fd >= 0 ? fd : gorpc_dial(c->port);
}

static void give_back(gorpc_client *c, int fd, bool usable, bool odd)
{
    pthread_mutex_lock(&c->lock);
    c->odd += odd;
    if (usable && c->n_idle < GORPC_POOL)
        c->idle[c->n_idle++] = fd;
    else if (fd >= 0)
        close(fd);
    pthread_mutex_unlock(&c->lock);
}

/* False: it fails the connection. */
static bool read_reply(int fd, gorpc_reply *reply, bool *odd)
{
    uint8_t header[GORPC_HEADER], *body;
    gorpc_envelope e;
    uint32_t length;
    bool ok;

    if (!gorpc_recv_all(fd, header, sizeof(header)) || header[0] != 0x11 ||
        (length = gorpc_frame_length(header)) > GORPC_MAX_BODY ||
        (body = malloc(length + 1u)) == NULL)
        return false;
    ok = gorpc_recv_all(fd, body, length) &&
         gorpc_envelope_read(&e, body, length);
    if (ok) {
        *odd = !gorpc_frame_is_plain(header) || e.n_pairs > 0;
        reply->code = e.code;
        if (e.text.len > 0 && e.text.len < sizeof(reply->message))
            memcpy(reply->message, e.text.data, e.text.len);
        reply->payload = calloc(1, e.payload.len + 1);
        if (reply->payload != NULL && e.payload.len > 0) {
            memcpy(reply->payload, e.payload.data, e.payload.len);
            reply->payload_len = e.payload.len;
        }
    }
    free(body);
    return ok;
}

void gorpc_client_call(gorpc_client *c, const char *path, const gorpc_pair *md,
                       size_t n_md, const void *payload, size_t payload_len,
                       gorpc_reply *reply)
{
    bool odd = false;
    size_t size;
    uint8_t *frame = gorpc_request(path, md, n_md, payload, payload_len, &size);
    int fd = take(c);

    memset(reply, 0, sizeof(*reply));
    reply->failed = frame == NULL || fd < 0 ||
                    !gorpc_send_all(fd, frame, size) ||
                    !read_reply(fd, reply, &odd);
    give_back(c, fd, !reply->failed, odd);
    free(frame);
}

uint32_t gorpc_client_hello(gorpc_client *c, const char *msg, const char *want)
{
    uint32_t result = UINT32_MAX;
    size_t size, len;
    uint8_t *payload = gorpc_hello(msg, strlen(msg), &size);
    gorpc_reply reply;
    const char *text;

    gorpc_client_call(c, GORPC_HELLO, NULL, 0, payload, size, &reply);
    if (reply.code != 0)
        result = reply.code;
    else if (!reply.failed && reply.payload_len > 0 && /* or it refuses */
             gorpc_hello_text(reply.payload, reply.payload_len, &text, &len) &&
             len == strlen(want) && memcmp(text, want, len) == 0)
        result = 0;
    free(reply.payload);
    free(payload);
    return result;
}

unsigned gorpc_client_check(gorpc_client *c)
{
    unsigned kept = 0, culled = 0;

    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->n_idle; i++) {
        struct pollfd p = {.fd = c->idle[i], .events = POLLIN};

        if (poll(&p, 1, 1) == 0) {
            c->idle[kept++] = c->idle[i];
        } else {
            close(c->idle[i]);
            culled++;
        }
    }
    c->n_idle = kept;
    pthread_mutex_unlock(&c->lock);
    return culled;
}

static void *run_job(void *arg)
{
    gorpc_job *job = arg;

    job->fn(job->arg);
    pthread_mutex_lock(&job->lock);
    job->ended = true;
    pthread_mutex_unlock(&job->lock);
    return NULL;
}

bool gorpc_job_start(gorpc_job *job, void (*fn)(void *arg), void *arg)
{
    *job = (gorpc_job){.fn = fn, .arg = arg};
    pthread_mutex_init(&job->lock, NULL);
    return pthread_create(&job->thread, NULL, run_job, job) == 0;
}

bool gorpc_job_ended(gorpc_job *job)
{
    bool ended;

    pthread_mutex_lock(&job->lock);
    ended = job->ended;
    pthread_mutex_unlock(&job->lock);
    return ended;
}

void gorpc_job_join(gorpc_job *job)
{
    pthread_join(job->thread, NULL);
    pthread_mutex_destroy(&job->lock);
}
