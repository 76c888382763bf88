// Tls: the server's side of TLS (1.2 and later) over memory, for a socket that is driven by hand.
//
// What comes from the wire goes in, what belongs on the wire comes out; nothing here touches a
// descriptor. Thread rule: one thread for a TlsSession; a TlsContext is read only once it is made.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "coord/base/result.hpp"

namespace coord::api {

enum class ClientCertificates : std::uint8_t {
  needed,   // A client without one that the CA vouches for is refused.
  wanted,   // Who has one proves who it is; who has none is served as anybody.
  ignored,  // None is asked for.
};

// Files in PEM form.
struct TlsOptions {
  std::string certificate;  // The member's, then those between it and the root.
  std::string key;
  std::string client_ca;  // Whom clients' certificates must come from. May be empty if ignored.
  ClientCertificates clients = ClientCertificates::needed;
};

class TlsContext {
 public:
  // Reads all files. Errors name the file.
  [[nodiscard]] static Result<std::shared_ptr<const TlsContext>> load(const TlsOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  friend class TlsSession;
  struct Impl;
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// One connection.
class TlsSession {
 public:
  explicit TlsSession(std::shared_ptr<const TlsContext> context);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // Takes bytes of the wire and appends what they say to `plain`. False: this is no TLS, or the
  // other side may not come in; `wire` then holds the alert that says so.
  [[nodiscard]] bool receive(std::string_view bytes, std::string& plain, std::string& wire);
  // Appends to `wire` what carries these bytes. Requires: is_open().
  void send(std::string_view plain, std::string& wire);
  // Appends the alert after which nothing more is sent.
  void finish(std::string& wire);

  [[nodiscard]] bool is_open() const noexcept;    // The handshake is done.
  [[nodiscard]] bool has_ended() const noexcept;  // The other side sends nothing more.
  // The subject of the client's certificate as RFC 2253 writes it ("CN=ann,O=Example"), which is
  // how ZooKeeper names an x509 identity; empty: it has shown none.
  [[nodiscard]] std::string peer_subject() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace coord::api
