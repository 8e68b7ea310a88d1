/* sys_test.c - the system's calls; built a second time as sys_portable_test. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <weft/clock.h>
#include <weft/sys.h>

static bool readable_within(int fd, int ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

static bool readable(int fd)
{
    return readable_within(fd, 0);
}

static void assert_prepared(int fd)
{
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void a_wakeup_is_readable_until_it_is_drained(void **state)
{
    weft__wakeup w;

    (void)state;
    assert_int_equal(weft__wakeup_init(&w), WEFT_OK);
    assert_prepared(w.read_fd);
    assert_prepared(w.write_fd);
    assert_false(readable(w.read_fd));
    weft__wakeup_drain(&w); /* with nothing in it: returns */
    weft__wakeup_signal(&w);
    weft__wakeup_signal(&w);
    assert_true(readable(w.read_fd));
    weft__wakeup_drain(&w);
    assert_false(readable(w.read_fd));
    weft__wakeup_fini(&w);
    assert_int_equal(w.read_fd, -1);
    weft__wakeup_fini(&w);
}

static void a_wakeup_that_nobody_drains_never_blocks(void **state)
{
    weft__wakeup w;
    int i;

    (void)state;
    assert_int_equal(weft__wakeup_init(&w), WEFT_OK);
    for (i = 0; i < 20000; i++) /* more than a pipe holds */
        weft__wakeup_signal(&w);
    weft__wakeup_drain(&w);
    assert_false(readable(w.read_fd));
    weft__wakeup_fini(&w);
}

static void no_descriptor_left_is_a_status(void **state)
{
    int fds[2000];
    int n = 0;
    weft__wakeup w;

    (void)state;
    while (n < 2000 && (fds[n] = dup(0)) >= 0)
        n++;
    if (n < 2000)
        assert_int_equal(weft__wakeup_init(&w), WEFT_ELIMIT);
    while (n > 0)
        close(fds[--n]);
    assert_int_equal(weft__wakeup_init(&w), WEFT_OK);
    weft__wakeup_fini(&w);
}

static void sockets_do_not_block_and_close_on_exec(void **state)
{
    struct sockaddr_in sin = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof sin;
    int listener = weft__sys_socket(AF_INET, SOCK_STREAM);
    int client = weft__sys_socket(AF_INET, SOCK_STREAM);
    int fds[2], accepted;

    (void)state;
    assert_prepared(listener);
    assert_prepared(client);
    assert_int_equal(bind(listener, (struct sockaddr *)&sin, sizeof sin), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(weft__sys_accept(listener, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    getsockname(listener, (struct sockaddr *)&sin, &len);
    (void)connect(client, (struct sockaddr *)&sin, sizeof sin);
    assert_int_equal(
        poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, 10000), 1);
    len = sizeof sin;
    accepted = weft__sys_accept(listener, (struct sockaddr *)&sin, &len);
    assert_prepared(accepted);
    assert_int_equal(sin.sin_family, AF_INET);
    close(accepted);
    close(client);
    close(listener);
    assert_int_equal(weft__sys_socketpair(fds), 0);
    assert_prepared(fds[0]);
    assert_prepared(fds[1]);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(weft__sys_socket(-1, SOCK_STREAM), -1);
}

static void a_write_to_a_closed_peer_is_an_error_not_a_signal(void **state)
{
    struct iovec iov[2] = {{"ab", 2}, {"cd", 2}};
    char bytes[8];
    int fds[2];

    (void)state;
    assert_int_equal(weft__sys_socketpair(fds), 0);
    assert_int_equal(weft__sys_writev(fds[0], iov, 2), 4);
    assert_int_equal(read(fds[1], bytes, sizeof bytes), 4);
    assert_memory_equal(bytes, "abcd", 4);
    close(fds[1]);
    assert_int_equal(weft__sys_writev(fds[0], iov, 2), -1);
    assert_int_equal(errno, EPIPE);
    close(fds[0]);
}

static void more_pieces_than_the_system_takes_are_a_short_write(void **state)
{
    struct iovec iov[2000];
    int fds[2], i;

    (void)state;
    for (i = 0; i < 2000; i++)
        iov[i] = (struct iovec){"x", 1};
    assert_int_equal(weft__sys_socketpair(fds), 0);
    assert_in_range(weft__sys_writev(fds[0], iov, 2000), 1, 2000);
    close(fds[0]);
    close(fds[1]);
}

static void the_coarse_clock_follows_the_real_one(void **state)
{
    uint64_t coarse = weft__sys_coarse_ns();
    uint64_t precise = weft_clock_monotonic.now_ns(NULL);

    (void)state;
    assert_true(coarse <= precise);
    assert_true(weft__sys_coarse_ns() >= coarse);
}

static void a_timer_is_readable_from_its_time_until_it_is_drained(void **state)
{
    int fd = weft__sys_timer_new();

    (void)state;
    if (fd < 0) {
        weft__sys_timer_set(fd, 0); /* the portable one is none */
        weft__sys_timer_drain(fd);
        return;
    }
    weft__sys_timer_drain(fd); /* does not block */
    weft__sys_timer_set(fd, 0);
    assert_true(readable_within(fd, 10000));
    weft__sys_timer_drain(fd);
    assert_false(readable(fd));
    weft__sys_timer_set(fd, 1);
    assert_true(readable_within(fd, 10000));
    weft__sys_timer_set(fd, UINT64_C(3600) * 1000000000); /* another one */
    assert_false(readable(fd));
    close(fd);
}

static void random_bytes_differ(void **state)
{
    uint8_t a[64] = {0}, b[64] = {0}, none[64] = {0};

    (void)state;
    weft__sys_random(a, sizeof a);
    weft__sys_random(b, sizeof b);
    weft__sys_random(a, 0);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a + 32, none, 32);
}

static void *thread_id(void *arg)
{
    *(uint64_t *)arg = weft__sys_thread_id();
    return NULL;
}

static void every_thread_has_an_id_of_its_own_for_ever(void **state)
{
    uint64_t mine = weft__sys_thread_id(), first, second;
    pthread_t thread;

    (void)state;
    pthread_create(&thread, NULL, thread_id, &first);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, thread_id, &second);
    pthread_join(thread, NULL);
    assert_int_equal(weft__sys_thread_id(), mine);
    assert_true(mine != first && first != second && mine != second);
    assert_true(mine != 0 && first != 0 && second != 0);
}

static void errors_of_sockets_have_a_status(void **state)
{
    (void)state;
    assert_int_equal(weft__sys_status(0), WEFT_OK);
    assert_int_equal(weft__sys_status(EAGAIN), WEFT_EAGAIN);
    assert_int_equal(weft__sys_status(EINPROGRESS), WEFT_EAGAIN);
    assert_int_equal(weft__sys_status(EMFILE), WEFT_ELIMIT);
    assert_int_equal(weft__sys_status(EADDRINUSE), WEFT_EADDR);
    assert_int_equal(weft__sys_status(ECONNREFUSED), WEFT_ECONNREFUSED);
    assert_int_equal(weft__sys_status(EPIPE), WEFT_ECONNRESET);
    assert_int_equal(weft__sys_status(ETIMEDOUT), WEFT_ETIMEDOUT);
    assert_int_equal(weft__sys_status(EDOM), WEFT_EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wakeup_is_readable_until_it_is_drained),
        cmocka_unit_test(a_wakeup_that_nobody_drains_never_blocks),
        cmocka_unit_test(no_descriptor_left_is_a_status),
        cmocka_unit_test(sockets_do_not_block_and_close_on_exec),
        cmocka_unit_test(a_write_to_a_closed_peer_is_an_error_not_a_signal),
        cmocka_unit_test(more_pieces_than_the_system_takes_are_a_short_write),
        cmocka_unit_test(the_coarse_clock_follows_the_real_one),
        cmocka_unit_test(a_timer_is_readable_from_its_time_until_it_is_drained),
        cmocka_unit_test(random_bytes_differ),
        cmocka_unit_test(every_thread_has_an_id_of_its_own_for_ever),
        cmocka_unit_test(errors_of_sockets_have_a_status),
    };
    return cmocka_run_group_tests_name("sys", tests, NULL, NULL);
}
