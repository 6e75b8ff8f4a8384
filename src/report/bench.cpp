#include "report/bench.h"

#include <fmt/format.h>

#include <cmath>

#include "report/json.h"

namespace whit::report {

namespace {

double rate_of(const BenchRow& row) {
  return row.work / row.seconds;
}
double share_of(const BenchRow& row) {
  return row.floor_seconds / row.seconds;
}

std::string finite_or_dash(double value, const std::string& suffix) {
  return std::isfinite(value) ? fmt::format("{:.4g}{}", value, suffix) : "-";
}

}  // namespace

std::string to_text(const BenchTable& table) {
  std::string out =
      fmt::format("{}\n{}\n\n{:<34}{:>16}{:>12}{:>12}{:>16}{:>8}\n", table.title, table.machine,
                  "what", "work", "floor s", "seconds", "rate", "share");
  for (const auto& row : table.rows) {
    const double share = share_of(row);
    out += fmt::format("{:<34}{:>16}{:>12}{:>12}{:>16}{:>8}  {}\n", row.name,
                       fmt::format("{:.4g} {}", row.work, row.unit),
                       finite_or_dash(row.floor_seconds, ""), finite_or_dash(row.seconds, ""),
                       finite_or_dash(rate_of(row), " " + row.unit + "/s"),
                       std::isfinite(share) ? fmt::format("{:.0f} %", 100 * share) : "-", row.note);
  }
  return out;
}

nlohmann::ordered_json to_json(const BenchTable& table) {
  nlohmann::ordered_json json{{"title", table.title}, {"machine", table.machine}};
  json["rows"] = nlohmann::ordered_json::array();
  for (const auto& row : table.rows) {
    nlohmann::ordered_json entry{{"name", row.name}, {"work", row.work}, {"unit", row.unit}};
    put_number(entry, "seconds", row.seconds, "not measured");
    put_number(entry, "floor_seconds", row.floor_seconds, "no limit is known");
    put_number(entry, "rate_per_second", rate_of(row), "not measured");
    put_number(entry, "share", share_of(row), "no limit is known");
    if (!row.note.empty()) entry["note"] = row.note;
    json["rows"].push_back(std::move(entry));
  }
  return json;
}

}  // namespace whit::report
