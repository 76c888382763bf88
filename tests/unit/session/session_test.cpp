#include "session/session.hpp"

#include <gtest/gtest.h>

namespace coord::session {
namespace {

Secret some_secret() {
  Secret secret{};
  for (std::size_t i = 0; i < secret.size(); ++i) secret[i] = static_cast<std::uint8_t>(i * 17);
  return secret;
}

const std::string kHex = "00112233445566778899aabbccddeeff";

TEST(Token, IsTheIdAndTheSecretInHexadecimal) {
  EXPECT_EQ(token_of(SessionId(42), some_secret()), "42." + kHex);
}

TEST(Token, IsReadBack) {
  for (const std::uint64_t value : {1ULL, 42ULL, 18446744073709551615ULL}) {
    SessionId id;
    Secret secret{};
    ASSERT_TRUE(parse_token(token_of(SessionId(value), some_secret()), id, secret)) << value;
    EXPECT_EQ(id, SessionId(value));
    EXPECT_EQ(secret, some_secret());
  }
}

TEST(Token, AnotherTextIsRefusedAndChangesNothing) {
  const struct {
    const char* name;
    std::string given;
  } cases[] = {
      {"empty", ""},
      {"no dot", "42" + kHex},
      {"no id", "." + kHex},
      {"no secret", "42."},
      {"the id alone", "42"},
      {"the id 0", "0." + kHex},
      {"a leading zero", "042." + kHex},
      {"a sign", "+42." + kHex},
      {"negative", "-42." + kHex},
      {"a space", " 42." + kHex},
      {"an id beyond 64 bits", "18446744073709551616." + kHex},
      {"a hexadecimal id", "2a." + kHex},
      {"a secret too short", "42." + kHex.substr(1)},
      {"a secret too long", "42." + kHex + "0"},
      {"a letter that is no digit", "42." + kHex.substr(1) + "g"},
      {"two dots", "42.." + kHex.substr(1)},
      {"a line end", "42." + kHex + "\n"},
  };
  for (const auto& [name, given] : cases) {
    SessionId id(7);
    Secret secret{};
    EXPECT_FALSE(parse_token(given, id, secret)) << name;
    EXPECT_EQ(id, SessionId(7)) << name;
    EXPECT_EQ(secret, Secret{}) << name;
  }
}

TEST(Token, CapitalDigitsAreReadToo) {
  SessionId id;
  Secret secret{};
  EXPECT_TRUE(parse_token("1.00112233445566778899AABBCCDDEEFF", id, secret));
  EXPECT_EQ(secret, some_secret());
}

TEST(Secrets, AreTheSameOnlyIfEveryBitIs) {
  EXPECT_TRUE(is_same_secret(some_secret(), some_secret()));
  for (std::size_t byte = 0; byte < Secret{}.size(); ++byte) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      auto other = some_secret();
      other[byte] = static_cast<std::uint8_t>(other[byte] ^ (1U << bit));
      EXPECT_FALSE(is_same_secret(some_secret(), other)) << byte << " " << bit;
    }
  }
}

TEST(EndReason, HasTheWordOfTheApi) {
  EXPECT_EQ(word_of(EndReason::closed), "closed");
  EXPECT_EQ(word_of(EndReason::expired), "expired");
  EXPECT_EQ(word_of(EndReason::killed), "killed");
}

}  // namespace
}  // namespace coord::session
