// History: the last minutes of every version, put together from what each answer of the server adds.

export const SPAN_SECONDS = 300;

const PAUSE_SECONDS = 3;

// Where the server, or its machine, stood still, lines are interrupted: a time without figures.
function withPauses(times) {
  return times.flatMap((at, place) => (place && at - times[place - 1] > PAUSE_SECONDS ? [(at + times[place - 1]) / 2, at] : [at]));
}

export class History {
  constructor() {
    this.since = 0; // the end of the newest second that is known
    this.versions = new Map(); // name → version → its seconds, [at, requests, errors, p50, p99]
  }

  add(names) {
    for (const [name, known] of Object.entries(names)) {
      const versions = this.versions.get(name) ?? this.versions.set(name, new Map()).get(name);
      for (const { version, seconds } of known.versions) {
        const kept = versions.get(version) ?? versions.set(version, []).get(version);
        kept.push(...seconds);
        if (seconds.length) this.since = Math.max(this.since, seconds.at(-1)[0]);
      }
    }
    const first = this.since - SPAN_SECONDS;
    for (const [name, versions] of this.versions) {
      if (!names[name]) this.versions.delete(name);
      for (const [version, seconds] of versions) {
        versions.set(version, seconds.slice(Math.max(0, seconds.findIndex(([at]) => at > first))));
        if (!seconds.length || seconds.at(-1)[0] <= first) versions.delete(version);
      }
    }
  }

  // The columns of a chart: times, and for each version that had requests, or has workers, its figures at those.
  columns(name, withWorkers) {
    const versions = this.versions.get(name) ?? new Map();
    const shown = [...versions].filter(([version, seconds]) => withWorkers.has(version) || seconds.some(([, n]) => n));
    const times = withPauses([...new Set(shown.flatMap(([, seconds]) => seconds.map(([at]) => at)))].sort((a, b) => a - b));
    const places = new Map(times.map((at, place) => [at, place]));
    const figures = new Map();
    for (const [version, seconds] of shown) {
      const column = () => new Array(times.length).fill(null);
      const own = { requests: column(), errors: column(), p50: column(), p99: column() };
      seconds.forEach(([at, requests, errors, p50, p99], index) => {
        const place = places.get(at);
        const passed = index ? at - seconds[index - 1][0] : 1;
        const length = passed > 1.5 ? passed : 1; // a busy machine ends a second late; a little is no matter
        [own.requests[place], own.errors[place]] = [requests / length, errors / length];
        if (requests) [own.p50[place], own.p99[place]] = [p50, p99]; // nobody asked, so nobody waited
      });
      figures.set(version, own);
    }
    return { times, figures };
  }

  // What a name is doing now: the mean of its last seconds, all versions together; the latencies of its busiest.
  now(name, over = 5) {
    const figures = { rate: 0, errors: 0, p50: null, p99: null };
    let busiest = 0;
    for (const all of (this.versions.get(name) ?? new Map()).values()) {
      const seconds = all.filter(([at]) => at > this.since - over + 0.5);
      const total = seconds.reduce((sum, [, requests]) => sum + requests, 0);
      figures.rate += total / over;
      figures.errors += seconds.reduce((sum, [, , errors]) => sum + errors, 0) / over;
      if (total > busiest) {
        busiest = total;
        const busy = seconds.filter(([, requests]) => requests);
        const mean = (place) => busy.reduce((sum, second) => sum + second[place], 0) / busy.length;
        [figures.p50, figures.p99] = [mean(3), mean(4)];
      }
    }
    return figures;
  }
}
