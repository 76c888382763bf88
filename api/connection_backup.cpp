// A backup on its way to a client: the member brings its store up to date, then pieces are read and
// sent, the next one when most of the one before has left. A backup that fails in the middle ends
// without its last chunk, and without the end that its own bytes have.
#include "api/connection.hpp"

namespace coord::api {
namespace {

using Phase = Exchange::Phase;

constexpr std::size_t kPieceBytes = 256 * kKiB;

}  // namespace

void Connection::start_backup(Exchange& exchange) {
  exchange.phase = Phase::backup_asked;
  is_streaming_ = true;         // Nothing behind it on this connection is answered ...
  exchange.keep_alive = false;  // ... not even when it is refused.
  submit(exchange, std::move(exchange.plan.request));
}

void Connection::read_backup(Exchange& exchange) {
  if (exchange.is_reading_piece || unsent_bytes() >= edge_.options().stream_resume_bytes) return;
  exchange.is_reading_piece = true;
  edge_.gateway().read_backup(id_, kPieceBytes);
}

void Connection::deliver_backup(BackupPiece piece) {
  if (fd_ < 0 || head_ == nullptr || head_->phase != Phase::backup) return;
  auto& exchange = *head_;
  exchange.is_reading_piece = false;
  if (!piece.error.empty()) {
    if (exchange.has_begun) return close();
    is_streaming_ = false;
    answer_problem(exchange.plan, {Code::overloaded, std::move(piece.error), {}, {}},
                   context_of(exchange), target_of(exchange));
    return finish(exchange);
  }
  if (!exchange.has_begun) {
    exchange.has_begun = true;
    exchange.deadline_ms = 0;
    answer_stream_head(exchange.plan, reply_at(exchange, piece.revision), context_of(exchange),
                       target_of(exchange));
  }
  std::string bytes;
  if (exchange.is_http10) {
    bytes = std::move(piece.bytes);
  } else {
    bytes.reserve(piece.bytes.size() + 32);
    if (!piece.bytes.empty()) append_chunk(bytes, piece.bytes);
    if (piece.is_last) bytes += "0\r\n\r\n";
  }
  stream_text(std::make_shared<const std::string>(std::move(bytes)));
  if (fd_ < 0) return;
  if (piece.is_last) {
    end_backup(exchange);
  } else {
    read_backup(exchange);
  }
}

void Connection::end_backup(Exchange& exchange) {
  is_streaming_ = false;
  finish(exchange);
}

}  // namespace coord::api
