// TlsSession against OpenSSL's own client, over memory, with certificates made here.
#include "api/tls.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

namespace coord::api {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;

struct Owner {
  Key key{nullptr, EVP_PKEY_free};
  Certificate certificate{nullptr, X509_free};
};

// `issuer` null: it vouches for itself.
Owner make_owner(const char* name, const Owner* issuer) {
  Owner made;
  made.key.reset(EVP_EC_gen("P-256"));
  made.certificate.reset(X509_new());
  auto* const x509 = made.certificate.get();
  X509_set_version(x509, X509_VERSION_1);  // Without extensions: who issued may issue.
  static long serial = 0;
  ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(x509), -60);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3'600);
  auto* const subject = X509_get_subject_name(x509);
  const auto add = [subject](const char* part, const char* value) {
    X509_NAME_add_entry_by_txt(subject, part, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value), -1, -1, 0);
  };
  add("O", "Example, Inc");
  add("CN", name);
  const auto& by = issuer == nullptr ? made : *issuer;
  X509_set_issuer_name(x509, X509_get_subject_name(by.certificate.get()));
  X509_set_pubkey(x509, made.key.get());
  X509_sign(x509, by.key.get(), EVP_sha256());
  return made;
}

class Tls : public ::testing::Test {
 protected:
  Tls() {
    std::filesystem::create_directories(folder_);
    options_.certificate = write("member.pem", &member_, nullptr);
    options_.key = write("member.key", nullptr, &member_);
    options_.client_ca = write("ca.pem", &ca_, nullptr);
  }
  ~Tls() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const Owner* certificate, const Owner* key) {
    const auto path = (folder_ / name).string();
    auto* const file = std::fopen(path.c_str(), "w");
    if (certificate != nullptr) PEM_write_X509(file, certificate->certificate.get());
    if (key != nullptr) {
      PEM_write_PrivateKey(file, key->key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    }
    std::fclose(file);
    return path;
  }

  std::filesystem::path folder_ =
      std::filesystem::path(::testing::TempDir()) / ("coord-tls-" + std::to_string(::getpid()));
  Owner ca_ = make_owner("ca", nullptr);
  Owner member_ = make_owner("localhost", &ca_);
  Owner ann_ = make_owner("ann", &ca_);
  Owner eve_ = make_owner("ann", nullptr);
  TlsOptions options_;
};

// The other side of the wire.
class Peer {
 public:
  explicit Peer(const Owner* owner)
      : context_(SSL_CTX_new(TLS_client_method()), SSL_CTX_free), ssl_(nullptr, SSL_free) {
    if (owner != nullptr) {
      SSL_CTX_use_certificate(context_.get(), owner->certificate.get());
      SSL_CTX_use_PrivateKey(context_.get(), owner->key.get());
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl_.get());
  }
  // Reads and writes until neither side has anything more. False: the session refused.
  bool talk(TlsSession& session, std::size_t piece = SIZE_MAX) {
    for (int round = 0; round < 10'000; ++round) {
      char buffer[4'096];
      int n = 0;
      while ((n = SSL_read(ssl_.get(), buffer, sizeof buffer)) > 0) heard.append(buffer, n);
      has_ended = SSL_get_error(ssl_.get(), n) == SSL_ERROR_ZERO_RETURN;
      while ((n = BIO_read(SSL_get_wbio(ssl_.get()), buffer, sizeof buffer)) > 0) {
        out_.append(buffer, n);
      }
      if (out_.empty() && wire.empty()) return true;
      const auto bytes = out_.substr(0, piece);
      out_.erase(0, bytes.size());
      const bool is_fine = bytes.empty() || session.receive(bytes, plain, wire);
      BIO_write(SSL_get_rbio(ssl_.get()), wire.data(), static_cast<int>(wire.size()));
      wire.clear();
      if (!is_fine) return false;
    }
    ADD_FAILURE() << "they talk for ever";
    return false;
  }
  void say(const std::string& text) {
    ASSERT_EQ(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())),
              static_cast<int>(text.size()));
  }
  void hang_up() { SSL_shutdown(ssl_.get()); }
  std::string plain;  // What the session took.
  std::string heard;  // What it sent.
  std::string wire;
  bool has_ended = false;

 private:
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  std::string out_;
};

TEST_F(Tls, CarriesBytesBothWaysAndNamesTheClient) {
  const auto context = TlsContext::load(options_);
  ASSERT_TRUE(context) << context.error().message;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{1'000}, SIZE_MAX}) {
    TlsSession session(context.value());
    Peer ann(&ann_);
    EXPECT_FALSE(session.is_open());
    ASSERT_TRUE(ann.talk(session, piece));
    ASSERT_TRUE(session.is_open());
    EXPECT_EQ(session.peer_subject(), "CN=ann,O=Example\\, Inc");
    const std::string large(100'000, 'v');
    ann.say("hello");
    session.send(large, ann.wire);
    ASSERT_TRUE(ann.talk(session, piece));
    EXPECT_EQ(ann.plain, "hello");
    EXPECT_EQ(ann.heard, large);
    EXPECT_FALSE(session.has_ended());
    ann.hang_up();
    ASSERT_TRUE(ann.talk(session, piece));
    EXPECT_TRUE(session.has_ended());
    session.finish(ann.wire);
    EXPECT_TRUE(ann.talk(session, piece));
    EXPECT_TRUE(ann.has_ended);
  }
}

TEST_F(Tls, WhoHasNoCertificateOfTheCaIsRefusedUnlessNobodyAsks) {
  struct Case {
    ClientCertificates clients;
    const Owner* owner;
    bool comes_in;
    const char* subject;
  };
  const Case cases[] = {
      {ClientCertificates::needed, nullptr, false, ""},
      {ClientCertificates::needed, &eve_, false, ""},
      {ClientCertificates::wanted, nullptr, true, ""},
      {ClientCertificates::wanted, &eve_, false, ""},
      {ClientCertificates::wanted, &ann_, true, "CN=ann,O=Example\\, Inc"},
      {ClientCertificates::ignored, &eve_, true, ""},
  };
  for (const auto& one : cases) {
    auto options = options_;
    options.clients = one.clients;
    const auto context = TlsContext::load(options);
    ASSERT_TRUE(context) << context.error().message;
    TlsSession session(context.value());
    Peer peer(one.owner);
    EXPECT_EQ(peer.talk(session), one.comes_in) << static_cast<int>(one.clients);
    EXPECT_EQ(session.is_open(), one.comes_in);
    EXPECT_EQ(one.comes_in ? session.peer_subject() : "", one.subject);
  }
}

TEST_F(Tls, WhatIsNoTlsIsRefused) {
  const auto context = TlsContext::load(options_);
  ASSERT_TRUE(context) << context.error().message;
  for (const std::string bytes :
       {"ruok", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff\xff\xff"}) {
    TlsSession session(context.value());
    std::string plain;
    std::string wire;
    const bool may_go_on = session.receive(bytes, plain, wire) &&
                           session.receive(std::string(70'000, '\xff'), plain, wire);
    EXPECT_FALSE(may_go_on) << bytes;
    EXPECT_EQ(plain, "");
  }
}

TEST_F(Tls, FilesThatAreMissingOrDoNotBelongTogetherAreNamed) {
  const auto problem_with = [](const TlsOptions& options) {
    const auto context = TlsContext::load(options);
    return context ? std::string() : context.error().message;
  };
  EXPECT_EQ(problem_with(options_), "");
  auto options = options_;
  options.certificate = "/none.pem";
  EXPECT_NE(problem_with(options).find("/none.pem"), std::string::npos);
  options = options_;
  options.key = write("ann.key", nullptr, &ann_);
  EXPECT_NE(problem_with(options).find("ann.key"), std::string::npos);
  options = options_;
  options.client_ca = options_.key;
  EXPECT_NE(problem_with(options).find("member.key"), std::string::npos);
  options.client_ca.clear();
  EXPECT_NE(problem_with(options).find("CA"), std::string::npos);
  options.clients = ClientCertificates::ignored;
  EXPECT_EQ(problem_with(options), "");
}

}  // namespace
}  // namespace coord::api
