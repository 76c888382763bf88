#include "znode/acl.hpp"

#include <gtest/gtest.h>

namespace coord::znode {
namespace {

const Identities kAnn = {{"digest", "ann:hash"}, {"ip", "10.1.2.3"}};

TEST(Acl, an_entry_grants_to_the_identities_that_it_names) {
  struct Case {
    std::string name;
    Acl acl;
    std::uint8_t wanted;
    Identities who;
    bool want;
  };
  const std::vector<Case> cases = {
      {"the open ACL grants all to anyone", open_acl(), all, {}, true},
      {"world grants no more than it says", {{read, "world", "anyone"}}, write, kAnn, false},
      {"an operator passes all", {{read, "x509", "CN=x"}}, all, {{"super", ""}}, true},
      {"a digest is compared as text", {{write, "digest", "ann:hash"}}, write, kAnn, true},
      {"another hash is another", {{write, "digest", "ann:other"}}, write, kAnn, false},
      {"a scheme must be the same", {{write, "x509", "ann:hash"}}, write, kAnn, false},
      {"entries add up",
       {{read, "digest", "ann:hash"}, {write, "world", "anyone"}},
       read | write,
       kAnn,
       true},
      {"an empty ACL grants nothing", {}, read, kAnn, false},
      {"an address", {{read, "ip", "10.1.2.3"}}, read, kAnn, true},
      {"another address", {{read, "ip", "10.1.2.4"}}, read, kAnn, false},
      {"a network", {{read, "ip", "10.1.0.0/16"}}, read, kAnn, true},
      {"a network of odd bits", {{read, "ip", "10.1.2.2/31"}}, read, kAnn, true},
      {"a network beside it", {{read, "ip", "10.1.2.4/31"}}, read, kAnn, false},
      {"the network of everyone", {{read, "ip", "0.0.0.0/0"}}, read, kAnn, true},
      {"v6", {{read, "ip", "2001:db8::/32"}}, read, {{"ip", "2001:db8:1::7"}}, true},
      {"v6 outside", {{read, "ip", "2001:db8::/32"}}, read, {{"ip", "2001:db9::"}}, false},
      {"v4 in the clothes of v6",
       {{read, "ip", "10.0.0.0/8"}},
       read,
       {{"ip", "::ffff:10.9.9.9"}},
       true},
      {"v6 is not of a v4 network", {{read, "ip", "0.0.0.0/0"}}, read, {{"ip", "::1"}}, false},
      {"an address that is none", {{read, "ip", "0.0.0.0/0"}}, read, {{"ip", "nowhere"}}, false},
  };
  for (const auto& c : cases) EXPECT_EQ(is_allowed(c.acl, c.wanted, c.who), c.want) << c.name;
}

TEST(Acl, an_acl_is_resolved_or_refused_whole) {
  struct Case {
    std::string name;
    Acl given;
    bool is_fine;
  };
  const std::vector<Case> cases = {
      {"empty", {}, false},
      {"an unknown scheme", {{all, "host", "x"}}, false},
      {"world is anyone", {{all, "world", "someone"}}, false},
      {"a digest without a colon", {{all, "digest", "ann"}}, false},
      {"a digest without a hash", {{all, "digest", "ann:"}}, false},
      {"a digest with two colons", {{all, "digest", "a:b:c"}}, false},
      {"x509 without a subject", {{all, "x509", ""}}, false},
      {"permissions beyond all", {{32, "world", "anyone"}}, false},
      {"too many bits", {{all, "ip", "10.0.0.0/33"}}, false},
      {"too few parts", {{all, "ip", "10.0.0"}}, false},
      {"an octet too large", {{all, "ip", "10.0.0.256"}}, false},
      {"two gaps", {{all, "ip", "1::2::3"}}, false},
      {"a group too long", {{all, "ip", "12345::"}}, false},
      {"eight groups and a gap", {{all, "ip", "1:2:3:4:5:6:7:8::"}}, false},
      {"v4 inside v6", {{all, "ip", "64:ff9b::1.2.3.4/96"}}, true},
      {"all of v6", {{all, "ip", "::/0"}}, true},
      {"a full v6", {{all, "ip", "1:2:3:4:5:6:7:8"}}, true},
      {"four entries at most",
       {{1, "x509", "a"}, {1, "x509", "b"}, {1, "x509", "c"}, {1, "x509", "d"}, {1, "x509", "e"}},
       false},
  };
  for (const auto& c : cases) {
    auto acl = c.given;
    EXPECT_EQ(resolve_acl(acl, kAnn, 4).empty(), c.is_fine) << c.name;
    EXPECT_EQ(acl, c.given) << c.name;
  }
}

TEST(Acl, auth_becomes_the_identities_that_the_caller_has_proved) {
  Acl acl = {{all, "auth", ""}, {read, "world", "anyone"}, {read, "world", "anyone"}};
  EXPECT_EQ(resolve_acl(acl, kAnn, 4), "");
  EXPECT_EQ(acl, (Acl{{all, "digest", "ann:hash"}, {read, "world", "anyone"}}));
  Acl nobody = {{all, "auth", ""}};
  EXPECT_NE(resolve_acl(nobody, {{"ip", "10.0.0.1"}}, 4), "");
}

TEST(Acl, an_acl_survives_its_encoding_and_half_of_one_does_not) {
  const Acl acl = {{all, "digest", "ann:hash"}, {read, "world", "anyone"}};
  std::string bytes;
  Writer out(bytes);
  encode(acl, out);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    Reader in(std::string_view(bytes).substr(0, size));
    const auto got = decode_acl(in);
    EXPECT_EQ(in.done(), size == bytes.size()) << size;
    if (in.done()) {
      EXPECT_EQ(got, acl);
    }
  }
}

}  // namespace
}  // namespace coord::znode
