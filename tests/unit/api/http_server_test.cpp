#include "api/http_server.hpp"

#include <gtest/gtest.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "fake_gateway.hpp"

namespace coord::api {
namespace {

namespace asio = boost::asio;

TEST(HttpServer, ServesOnTheLoopAndStopsWhenAllIsAnswered) {
  asio::io_context io;
  FakeGateway gateway;
  HttpServer server(io, gateway, {});
  const auto port = server.listen("127.0.0.1", 0);
  ASSERT_TRUE(port);
  asio::ip::tcp::socket client(io);
  client.connect({asio::ip::make_address("127.0.0.1"), port.value()});
  asio::write(client, asio::buffer(std::string("GET /livez HTTP/1.1\r\n\r\n")));
  std::string received(4096, '\0');
  std::size_t size = 0;
  client.async_read_some(asio::buffer(received), [&](boost::system::error_code, std::size_t n) {
    size = n;
    server.stop([&] { io.stop(); });
  });
  io.run_for(std::chrono::seconds(5));
  EXPECT_TRUE(received.substr(0, size).starts_with("HTTP/1.1 200 OK")) << received;
  EXPECT_EQ(server.connection_count(), 0U);
}

TEST(HttpServer, APortThatIsTakenIsAnError) {
  asio::io_context io;
  FakeGateway gateway;
  HttpServer server(io, gateway, {});
  const auto port = server.listen("127.0.0.1", 0);
  ASSERT_TRUE(port);
  EXPECT_FALSE(server.listen("127.0.0.1", port.value()));
  EXPECT_FALSE(server.listen("no host has this name", 0));
}

}  // namespace
}  // namespace coord::api
