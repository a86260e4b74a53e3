// Figures: how numbers, sizes and times are written.

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const hours = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const number = (value) => (value == null ? "–" : Math.abs(value) >= 100 ? whole.format(value) : plain.format(value));

export const milliseconds = (value) =>
  value == null ? "–" : value >= 1000 ? `${number(value / 1000)} s` : `${number(value)} ms`;

export const seconds = (value) => milliseconds(1000 * value);

export function bytes(value) {
  if (!value) return "–";
  const power = Math.min(3, Math.floor(Math.log2(value) / 10));
  return `${number(value / 1024 ** power)} ${["B", "KiB", "MiB", "GiB"][power]}`;
}

export function time(at) {
  const date = new Date(1000 * at);
  const today = date.toDateString() === new Date().toDateString();
  return `${today ? "" : `${day.format(date)}, `}${hours.format(date)}`;
}

export const clock = (at) => hours.format(new Date(1000 * at));
export const minute = (at) => clock(at).slice(0, 5);

export function ago(at) {
  const past = Math.max(0, Date.now() / 1000 - at);
  if (past < 60) return `${whole.format(Math.floor(past))} s ago`;
  if (past < 3600) return `${Math.floor(past / 60)} min ago`;
  if (past < 86400) return `${Math.floor(past / 3600)} h ago`;
  return `${Math.floor(past / 86400)} d ago`;
}
