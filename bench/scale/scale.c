/* scale.c - what the benchmarks of the house's bounds share. */
#include "scale.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/log.h>

void scale_check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

uint32_t scale_arg(int argc, char **argv, int i, uint32_t dflt)
{
    return argc > i ? (uint32_t)strtoul(argv[i], NULL, 10) : dflt;
}

void *scale_share(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        echo_die("mmap");
    return memory;
}

void scale_pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0 || cpu >= sysconf(_SC_NPROCESSORS_ONLN))
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        echo_die("sched_setaffinity");
}

pid_t scale_fork(int cpu, void (*run)(void *arg), void *arg)
{
    pid_t parent = getpid(), pid;

    fflush(stdout); /* or the child would print it again */
    if ((pid = fork()) < 0)
        echo_die("fork");
    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0UL, 0UL, 0UL);
    if (getppid() != parent)
        _exit(1); /* it died before that */
    scale_pin(cpu);
    run(arg);
    _exit(1);
}

static void be_real_time(int priority)
{
    (void)sched_setscheduler(0, SCHED_FIFO,
                             &(struct sched_param){.sched_priority = priority});
}

void scale_be_first(void)
{
    be_real_time(1);
}

void scale_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void sleep_1ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

void scale_wait_exit(pid_t pid, uint32_t ms, const char *what)
{
    uint64_t end_ns = echo_now_ns() + ms * UINT64_C(1000000);
    int status = -1;

    while (waitpid(pid, &status, WNOHANG) == 0 && echo_now_ns() < end_ns)
        sleep_1ms();
    scale_check(status == 0, what);
}

void scale_wait(const volatile bool *flag, uint32_t ms, const char *what)
{
    uint64_t end_ns = echo_now_ns() + ms * UINT64_C(1000000);

    while (!*flag && echo_now_ns() < end_ns)
        sleep_1ms();
    scale_check(*flag, what);
}

void scale_wait_port(const volatile uint16_t *port)
{
    for (int ms = 0; ms < 10000 && *port == 0; ms++)
        sleep_1ms();
    scale_check(*port != 0, "no server");
}

static void run_probe(void *arg)
{
    scale_probe *probe = arg;

    be_real_time(2); /* or it would wait for those whose machine it measures */
    for (;;) {
        uint64_t due_ns = echo_now_ns() + 1000000, now_ns;

        sleep_1ms();
        now_ns = echo_now_ns();
        if (now_ns > due_ns + probe->late_ns)
            probe->late_ns = now_ns - due_ns;
    }
}

pid_t scale_probe_start(scale_probe *probe)
{
    return scale_fork(SCALE_SERVER_CPU, run_probe, probe);
}

static void echo_echo(Bench__Echo_Service *self, const Bench__EchoMessage *in,
                      Bench__EchoMessage_Closure reply, void *call)
{
    (void)self;
    reply(in, call);
}

Bench__Echo_Service scale_echo = BENCH__ECHO__INIT(echo_);

weft_server *scale_server(weft_loop **loop, const weft_server_conf *conf,
                          ProtobufCService *service)
{
    weft_server *server;

    weft_log_set_level(WEFT_LOG_ERROR);
    weft_loop_new(loop, NULL);
    weft_server_new(&server, *loop, conf);
    weft_server_add_service(server, service);
    return server;
}

static void on_start(weft_server *server, weft_status status,
                     const char *message, void *user)
{
    volatile uint16_t *port = user;

    scale_check(status == WEFT_OK, message);
    *port = weft_address_port(weft_server_address(server, 0));
}

void scale_listen(weft_server *server, volatile uint16_t *port)
{
    weft_server_listen(server, "tcp://127.0.0.1:0");
    scale_check(weft_server_start(server, on_start, (void *)(uintptr_t)port) ==
                    WEFT_OK,
                weft_server_error(server));
}

weft_stub scale_stub(weft_loop *loop, uint16_t port,
                     const weft_channel_conf *conf)
{
    weft_channel *channel;
    char target[32];

    snprintf(target, sizeof(target), "127.0.0.1:%u", port);
    weft_channel_new(&channel, loop, target, conf);
    return weft_stub_for(channel, &bench__echo__descriptor);
}
