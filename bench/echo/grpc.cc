// grpc.cc - gRPC C++ with its asynchronous callback API.
//
// Its own threads, which the pinning keeps on the one core; a channel for each
// connection; a deadline for every call, as Weft gives by itself.  Replies are
// swapped out of the request rather than copied, in its favour.
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/grpcpp.h>

#include "echo.grpc.pb.h"
#include "order_bytes.h"
#include "pace.h"

namespace {

class EchoService final : public bench::Echo::CallbackService
{
    grpc::ServerUnaryReactor *Echo(grpc::CallbackServerContext *context,
                                   const bench::EchoMessage *request,
                                   bench::EchoMessage *reply) override
    {
        auto *reactor = context->DefaultReactor();

        reply->Swap(const_cast<bench::EchoMessage *>(request));
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }
};

class OrdersService final : public bench::Orders::CallbackService
{
    grpc::ServerUnaryReactor *Echo(grpc::CallbackServerContext *context,
                                   const bench::Order *request,
                                   bench::Order *reply) override
    {
        auto *reactor = context->DefaultReactor();

        reply->Swap(const_cast<bench::Order *>(request));
        reactor->Finish(grpc::Status::OK);
        return reactor;
    }
};

struct Lane {
    std::unique_ptr<bench::Echo::Stub> echo;
    std::unique_ptr<bench::Orders::Stub> orders;
};

struct Flight {
    pace_slot slot; // first
    Lane *lane;
    std::unique_ptr<grpc::ClientContext> context; // not to be used twice
    bench::EchoMessage echoed;
    bench::Order order;
};

class Client
{
  public:
    explicit Client(echo_shared *shared)
        : load_(shared->load), lanes_(load_.connections),
          flights_(size_t(load_.connections) * load_.in_flight)
    {
        size_t length;
        const void *bytes = order_bytes(&length);

        order_.ParseFromArray(bytes, int(length));
        message_.set_data(std::string(load_.payload_bytes, '\0'));
        for (auto &lane : lanes_)
            Connect(&lane, shared->port);
        pace_init(&pace_, shared);
        for (size_t i = 0; i < flights_.size(); i++) {
            flights_[i].lane = &lanes_[i % lanes_.size()];
            pace_add(&pace_, &flights_[i].slot);
        }
    }

    // Calls end on gRPC's threads; this one begins those that are due.
    [[noreturn]] void Run()
    {
        for (;;) {
            Begin();
            if (load_.rate > 0)
                SleepUntilDue();
            else
                std::this_thread::sleep_for(std::chrono::hours(1));
        }
    }

  private:
    static void Connect(Lane *lane, uint16_t port)
    {
        grpc::ChannelArguments arguments;

        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
        auto channel = grpc::CreateCustomChannel(
            "127.0.0.1:" + std::to_string(port),
            grpc::InsecureChannelCredentials(), arguments);
        lane->echo = bench::Echo::NewStub(channel);
        lane->orders = bench::Orders::NewStub(channel);
    }

    void SleepUntilDue()
    {
        std::unique_lock<std::mutex> lock(mutex_);
        uint64_t due = pace_.due_ns, now = echo_now_ns();

        lock.unlock();
        // No slot free: a reply will begin the call; look again a tick later.
        std::this_thread::sleep_for(
            std::chrono::nanoseconds(due > now ? due - now : pace_.tick_ns));
    }

    Flight *Take()
    {
        std::lock_guard<std::mutex> lock(mutex_);

        return reinterpret_cast<Flight *>(pace_take(&pace_, echo_now_ns()));
    }

    void Begin()
    {
        while (Flight *f = Take()) {
            f->context = std::make_unique<grpc::ClientContext>();
            f->context->set_deadline(std::chrono::system_clock::now() +
                                     std::chrono::seconds(5));
            auto done = [this, f](const grpc::Status &status) {
                End(f, status.ok());
            };
            if (load_.order)
                f->lane->orders->async()->Echo(f->context.get(), &order_,
                                               &f->order, done);
            else
                f->lane->echo->async()->Echo(f->context.get(), &message_,
                                             &f->echoed, done);
        }
    }

    void End(Flight *f, bool ok)
    {
        {
            std::lock_guard<std::mutex> lock(mutex_);

            pace_give(&pace_, &f->slot, echo_now_ns(), ok);
        }
        Begin();
    }

    const echo_load load_;
    std::mutex mutex_; // of pace_
    pace pace_;
    std::vector<Lane> lanes_;
    std::vector<Flight> flights_;
    bench::EchoMessage message_;
    bench::Order order_;
};

} // namespace

void echo_server(echo_shared *shared)
{
    EchoService echo;
    OrdersService orders;
    grpc::ServerBuilder builder;
    int port = 0;

    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(&echo);
    builder.RegisterService(&orders);
    auto server = builder.BuildAndStart();
    if (server == nullptr)
        echo_die("gRPC server");
    shared->port = uint16_t(port);
    server->Wait();
}

void echo_client(echo_shared *shared)
{
    Client(shared).Run();
}
