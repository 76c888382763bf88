// respond: outcomes become HTTP answers, appended to an output buffer. Pure.
#pragma once

#include <string>
#include <string_view>

#include "api/client_board.hpp"
#include "api/plan.hpp"
#include "coord/core/request.hpp"

namespace coord::api {

// What every answer of a connection needs beside its plan.
struct AnswerContext {
  std::string_view date;  // "Date: ...\r\n".
  bool keep_alive = true;
  bool is_http10 = false;
  Zxid applied;                   // For answers that never reached the member ...
  std::int64_t staleness_ms = 0;  // ... and how old that may be.
  std::string_view version;       // Of this build.
  std::string& scratch;           // Empty; a body is put together here.
  const ClientBoard* clients = nullptr;
  std::int64_t now_ms = 0;
};

// The whole answer to a reply, an error too.
void answer_reply(const Plan& plan, const core::Reply& reply, const AnswerContext& context,
                  std::string& out);
// A refusal of the edge itself.
void answer_problem(const Plan& plan, const Problem& problem, const AnswerContext& context,
                    std::string& out);
// 304. Of the reply only the revision, the consistency and the staleness.
void answer_not_modified(const Plan& plan, const core::Reply& reply, std::optional<Zxid> etag,
                         const AnswerContext& context, std::string& out);
// A complete body of a local route.
void answer_body(const Plan& plan, int status, std::string_view content_type, std::string_view body,
                 const AnswerContext& context, std::string& out);
// 204 with the headers of CORS and Allow.
void answer_options(const Plan& plan, const RequestView& view, const AnswerContext& context,
                    std::string& out);
// The head of a stream. Chunked unless HTTP/1.0. Of the reply as of a 304.
void answer_stream_head(const Plan& plan, const core::Reply& reply, const AnswerContext& context,
                        std::string& out);

// Appends the problem document of a reply.
void append_problem(std::string& out, const Plan& plan, const core::Reply& reply,
                    const Problem* problem);

// One chunk of chunked transfer coding around `text`.
void append_chunk(std::string& out, std::string_view text);

}  // namespace coord::api
