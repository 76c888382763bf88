#include "api/tls.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "coord/base/check.hpp"

namespace coord::api {
namespace {

constexpr std::size_t kPieceBytes = 16'384;  // A record of TLS holds no more.

template <auto kFree>
struct Freed {
  template <typename T>
  void operator()(T* what) const noexcept {
    kFree(what);
  }
};
using Context = std::unique_ptr<SSL_CTX, Freed<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Freed<SSL_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;

// What OpenSSL has to say: the first failure, which the others follow from. It is asked once.
std::string reason() {
  const auto number = ERR_peek_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(number)) return std::strerror(ERR_GET_REASON(number));
  if (const char* const known = ERR_reason_error_string(number)) return known;
  return fmt::format("error {:x}", number);
}

int verify_mode(ClientCertificates clients) {
  switch (clients) {
    case ClientCertificates::needed:
      return SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    case ClientCertificates::wanted:
      return SSL_VERIFY_PEER;
    case ClientCertificates::ignored:
      return SSL_VERIFY_NONE;
  }
  return SSL_VERIFY_NONE;
}

void take_all(BIO* from, std::string& to) {
  std::array<char, kPieceBytes> buffer;
  for (int n = 0; (n = BIO_read(from, buffer.data(), static_cast<int>(buffer.size()))) > 0;) {
    to.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

}  // namespace

struct TlsContext::Impl {
  Context context;
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<const TlsContext>> TlsContext::load(const TlsOptions& options) {
  ERR_clear_error();
  auto impl = std::make_unique<Impl>();
  impl->context.reset(SSL_CTX_new(TLS_server_method()));
  auto* const context = impl->context.get();
  if (context == nullptr) return error(Failure::io, "TLS: {}", reason());
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  // Connections live long: none is resumed, so nothing of one outlives it.
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(context, options.certificate.c_str()) != 1) {
    return error(Failure::invalid, "the certificate {}: {}", options.certificate, reason());
  }
  // Refuses one that is not the certificate's.
  if (SSL_CTX_use_PrivateKey_file(context, options.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return error(Failure::invalid, "the key {}: {}", options.key, reason());
  }
  SSL_CTX_set_verify(context, verify_mode(options.clients), nullptr);
  if (options.clients != ClientCertificates::ignored) {
    if (options.client_ca.empty()) {
      return error(Failure::invalid, "clients' certificates cannot be checked without a CA");
    }
    const auto* const file = options.client_ca.c_str();
    if (SSL_CTX_load_verify_locations(context, file, nullptr) != 1) {
      return error(Failure::invalid, "the CA {}: {}", options.client_ca, reason());
    }
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(file));
  }
  return std::shared_ptr<const TlsContext>(new TlsContext(std::move(impl)));
}

struct TlsSession::Impl {
  std::shared_ptr<const TlsContext> context;  // Lives as long as its sessions.
  Session ssl;
  BIO* in = nullptr;  // The session's, as `out`.
  BIO* out = nullptr;
  bool is_open = false;
  bool has_ended = false;
};

TlsSession::TlsSession(std::shared_ptr<const TlsContext> context)
    : impl_(std::make_unique<Impl>()) {
  impl_->ssl.reset(SSL_new(context->impl_->context.get()));
  COORD_CHECK(impl_->ssl != nullptr, "a session of TLS can be made");
  impl_->context = std::move(context);
  Bio in(BIO_new(BIO_s_mem()));
  Bio out(BIO_new(BIO_s_mem()));
  COORD_CHECK(in != nullptr && out != nullptr, "a buffer of TLS can be made");
  impl_->in = in.release();
  impl_->out = out.release();
  SSL_set_bio(impl_->ssl.get(), impl_->in, impl_->out);
  SSL_set_accept_state(impl_->ssl.get());
}
TlsSession::~TlsSession() = default;

bool TlsSession::receive(std::string_view bytes, std::string& plain, std::string& wire) {
  auto& me = *impl_;
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<int>::max());
  COORD_CHECK(bytes.size() < kMost, "a read fits into a buffer of TLS", bytes.size());
  ERR_clear_error();
  if (BIO_write(me.in, bytes.data(), static_cast<int>(bytes.size())) !=
      static_cast<int>(bytes.size())) {
    return false;
  }
  // Also the handshake goes on while one reads.
  std::array<char, kPieceBytes> buffer;
  int n = 0;
  while ((n = SSL_read(me.ssl.get(), buffer.data(), static_cast<int>(buffer.size()))) > 0) {
    plain.append(buffer.data(), static_cast<std::size_t>(n));
  }
  const int why = SSL_get_error(me.ssl.get(), n);
  me.is_open = SSL_is_init_finished(me.ssl.get()) == 1;
  me.has_ended = me.has_ended || why == SSL_ERROR_ZERO_RETURN;
  take_all(me.out, wire);
  ERR_clear_error();
  return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_ZERO_RETURN;
}

void TlsSession::send(std::string_view plain, std::string& wire) {
  COORD_CHECK(impl_->is_open, "nothing is sent before the handshake is done");
  while (!plain.empty()) {
    const auto size = std::min(plain.size(), kPieceBytes);
    const int n = SSL_write(impl_->ssl.get(), plain.data(), static_cast<int>(size));
    // Memory takes everything; what ended is ended by its socket.
    if (n <= 0) break;
    plain.remove_prefix(static_cast<std::size_t>(n));
  }
  take_all(impl_->out, wire);
  ERR_clear_error();
}

void TlsSession::finish(std::string& wire) {
  if (impl_->is_open) SSL_shutdown(impl_->ssl.get());
  take_all(impl_->out, wire);
  ERR_clear_error();
}

bool TlsSession::is_open() const noexcept { return impl_->is_open; }
bool TlsSession::has_ended() const noexcept { return impl_->has_ended; }

std::string TlsSession::peer_subject() const {
  const Certificate certificate(SSL_get1_peer_certificate(impl_->ssl.get()));
  if (certificate == nullptr || SSL_get_verify_result(impl_->ssl.get()) != X509_V_OK) return {};
  const Bio text(BIO_new(BIO_s_mem()));
  // As it is, in UTF-8; only what would end a part of the name is escaped.
  constexpr unsigned long kForm =
      XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate.get()), 0, kForm);
  std::string subject;
  take_all(text.get(), subject);
  return subject;
}

}  // namespace coord::api
