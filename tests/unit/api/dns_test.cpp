#include "api/dns.hpp"

#include <gtest/gtest.h>

namespace coord::api::dns {
namespace {

std::string u16(unsigned v) { return {static_cast<char>(v >> 8), static_cast<char>(v & 255)}; }

std::string name_of(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto dot = std::min(text.find('.'), text.size());
    out += static_cast<char>(dot);
    out += text.substr(0, dot);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  out += '\0';
  return out;
}

std::string query(std::string_view name, unsigned type, std::string_view more = {},
                  unsigned additionals = 0) {
  return u16(7) + u16(0x0100) + u16(1) + u16(0) + u16(0) + u16(additionals) + name_of(name) +
         u16(type) + u16(1) + std::string(more);
}

std::string opt(unsigned size, unsigned version = 0) {
  return std::string(1, '\0') + u16(41) + u16(size) + std::string(1, '\0') +
         static_cast<char>(version) + u16(0) + u16(0);
}

unsigned rcode_of(const std::string& message) { return static_cast<unsigned>(message[3]) & 15U; }
unsigned count_of(const std::string& message, std::size_t section) {
  const auto at = 6 + 2 * section;
  return static_cast<unsigned char>(message[at]) * 256U +
         static_cast<unsigned char>(message[at + 1]);
}
bool is_cut(const std::string& message) { return (message[2] & 2) != 0; }

TEST(Dns, AQuestionIsTakenApart) {
  const auto question = parse(query("Web.Service.coord", 33, opt(4'096), 1));
  ASSERT_TRUE(question);
  EXPECT_EQ(question->rcode, Rcode::ok);
  EXPECT_EQ(question->id, 7);
  EXPECT_EQ(question->labels, (std::vector<std::string>{"Web", "Service", "coord"}));
  EXPECT_EQ(question->type, 33);
  EXPECT_TRUE(question->has_edns);
  EXPECT_EQ(question->bytes_max, kUdpBytesMax);
}

TEST(Dns, WhatDeservesNoAnswerGetsNone) {
  auto answer = query("a.service.coord", 1);
  EXPECT_FALSE(parse(answer.substr(0, 11)));
  answer[2] = static_cast<char>(0x80);
  EXPECT_FALSE(parse(answer));
  EXPECT_FALSE(parse({}));
}

TEST(Dns, MalformedQuestionsAreToldSo) {
  const auto good = query("a.service.coord", 1);
  for (std::size_t n = 12; n < good.size(); ++n) {
    const auto question = parse(good.substr(0, n));
    ASSERT_TRUE(question) << n;
    EXPECT_EQ(question->rcode, Rcode::malformed) << n;
    EXPECT_EQ(rcode_of(answer_nothing(*question, question->rcode, 0)), 1U);
  }
  auto pointer = good;
  pointer[12] = static_cast<char>(0xc0);
  EXPECT_EQ(parse(pointer)->rcode, Rcode::malformed);
  auto two = good;
  two[5] = 2;
  EXPECT_EQ(parse(two)->rcode, Rcode::malformed);
  EXPECT_EQ(parse(query(std::string(64, 'a'), 1))->rcode, Rcode::malformed);
  std::string name = "a";
  for (int i = 0; i < 127; ++i) name += ".a";
  EXPECT_EQ(parse(query(name, 1))->rcode, Rcode::malformed);
  EXPECT_EQ(parse(query("a.coord", 1, opt(512).substr(0, 5), 1))->rcode, Rcode::malformed);
  EXPECT_EQ(parse(query("a.coord", 1, opt(512) + opt(512), 2))->rcode, Rcode::malformed);
  auto notify = good;
  notify[2] = 0x20;
  EXPECT_EQ(parse(notify)->rcode, Rcode::not_implemented);
  EXPECT_EQ(parse(query("a.coord", 1, opt(512, 1), 1))->rcode, Rcode::bad_version);
  auto chaos = good;
  chaos.back() = 3;
  EXPECT_EQ(parse(chaos)->rcode, Rcode::refused);
}

TEST(Dns, NamesSayWhatIsWanted) {
  using K = Wanted::Kind;
  struct Case {
    std::string_view name;
    K kind;
    std::string service = {};
    std::string tagged = {};
    std::string tag = {};
  };
  for (const auto& [name, kind, service, tagged, tag] : {
           Case{"example.org", K::elsewhere},
           {"", K::elsewhere},
           {"COORD", K::zone},
           {"web.coord", K::nothing},
           {"service.coord", K::nothing},
           {"web.SERVICE.coord", K::service, "web"},
           {"blue.web.service.coord", K::service, "blue.web", "web", "blue"},
           {"_web._tcp.service.coord", K::service, "web"},
           {"7f000001.addr.coord", K::address},
           {"7f00000.addr.coord", K::nothing},
           {"xx000001.addr.coord", K::nothing},
       }) {
    const auto wanted = wanted_by(*parse(query(name, 1)));
    EXPECT_EQ(wanted.kind, kind) << name;
    EXPECT_EQ(wanted.service, service) << name;
    EXPECT_EQ(wanted.tagged, tagged) << name;
    EXPECT_EQ(wanted.tag, tag) << name;
  }
  EXPECT_EQ(wanted_by(*parse(query("7f000001.addr.coord", 1))).address,
            std::string("\x7f\x00\x00\x01", 4));
}

TEST(Dns, AddressesAndServicesAreAnswered) {
  const std::vector<Endpoint> endpoints{
      {"10.0.0.1", 80, 7}, {"::1", 81, 1}, {"host.example", 82, 1}, {"10.0.0.1", 83, 1}};
  const auto a = answer(*parse(query("web.service.coord", 1)), endpoints, 5, 512);
  EXPECT_EQ(rcode_of(a), 0U);
  EXPECT_EQ(count_of(a, 0), 1U) << "one address once";
  EXPECT_EQ(a.substr(a.size() - 4), std::string("\x0a\x00\x00\x01", 4));
  EXPECT_EQ(count_of(answer(*parse(query("w.service.coord", 28)), endpoints, 5, 512), 0), 1U);
  EXPECT_EQ(count_of(answer(*parse(query("w.service.coord", 255)), endpoints, 5, 512), 0), 2U);
  const auto srv = answer(*parse(query("web.service.coord", 33)), endpoints, 5, 512);
  EXPECT_EQ(count_of(srv, 0), 4U);
  EXPECT_EQ(count_of(srv, 2), 2U) << "each address once";
  EXPECT_LT(srv.find(name_of("host.example")), srv.rfind(name_of("0a000001.addr.coord")))
      << "what is additional comes last";
  EXPECT_NE(srv.find(u16(1) + u16(7) + u16(80) + name_of("0a000001.addr.coord")),
            std::string::npos);
  EXPECT_NE(srv.find(name_of("host.example")), std::string::npos);
}

TEST(Dns, NothingOfThisTypeIsNoErrorWithTheZonesSoa) {
  const auto text = answer(*parse(query("web.service.coord", 28)), {{"10.0.0.1", 80, 1}}, 5, 512);
  EXPECT_EQ(rcode_of(text), 0U);
  EXPECT_EQ(count_of(text, 0), 0U);
  EXPECT_EQ(count_of(text, 1), 1U);
  const auto none = answer_nothing(*parse(query("x.service.coord", 1)), Rcode::no_name, 5);
  EXPECT_EQ(rcode_of(none), 3U);
  EXPECT_EQ(count_of(none, 1), 1U);
  EXPECT_EQ(count_of(answer_nothing(*parse(query("coord", 6)), Rcode::ok, 5, true), 0), 1U);
}

TEST(Dns, AnAnswerIsCutToItsSizeBetweenRecords) {
  std::vector<Endpoint> endpoints;
  for (int i = 0; i < 200; ++i) {
    endpoints.push_back({"10.0.0." + std::to_string(i), static_cast<std::uint16_t>(i + 1), 1});
  }
  const auto plain = answer(*parse(query("web.service.coord", 1)), endpoints, 0, 512);
  EXPECT_TRUE(is_cut(plain));
  EXPECT_LE(plain.size(), 512U);
  EXPECT_GT(count_of(plain, 0), 20U);
  const auto question = *parse(query("web.service.coord", 1, opt(4'096), 1));
  const auto more = answer(question, endpoints, 0, question.bytes_max);
  EXPECT_LE(more.size(), kUdpBytesMax);
  EXPECT_GT(count_of(more, 0), count_of(plain, 0));
  const auto whole = answer(question, endpoints, 0, kTcpBytesMax);
  EXPECT_FALSE(is_cut(whole));
  EXPECT_EQ(count_of(whole, 0), 200U);
}

TEST(Dns, ABadVersionIsSaidInTwoParts) {
  const auto question = *parse(query("a.coord", 1, opt(512, 1), 1));
  const auto text = answer_nothing(question, question.rcode, 0);
  EXPECT_EQ(rcode_of(text), 0U);
  EXPECT_EQ(text[text.size() - 6], 1) << "the upper bits of 16";
}

}  // namespace
}  // namespace coord::api::dns
