/** The app's own metrics: the gateway adds them up over all isolates and shows them with the prefix `app_`. */

export interface MetricOptions<Label extends string = string> {
  /** Lower case letters, digits and `_`, with its unit and without `app_`, such as `cache_hits_total`. */
  name: string
  /** One sentence. */
  help: string
  /** The names of its labels. Default: none. Labels are for few values: never a path, never a user. */
  labels?: readonly Label[]
}

export interface HistogramOptions<Label extends string = string> extends MetricOptions<Label> {
  /** Upper bounds, ascending, without infinity. Default: seconds from 5 ms to 10 s. */
  buckets?: readonly number[]
}

export type LabelValues<Label extends string> = Readonly<Record<Label, string>>

export interface Counter<Label extends string = never> {
  /** Adds `by`, which is not negative. Default: 1. */
  inc(labels?: LabelValues<Label>, by?: number): void
}

export interface Gauge<Label extends string = never> {
  /** The gateway shows the sum over all isolates. */
  set(value: number, labels?: LabelValues<Label>): void
  add(by: number, labels?: LabelValues<Label>): void
}

export interface Histogram<Label extends string = never> {
  observe(value: number, labels?: LabelValues<Label>): void
}

export interface MetricsRegistry {
  counter<Label extends string = never>(options: MetricOptions<Label>): Counter<Label>
  gauge<Label extends string = never>(options: MetricOptions<Label>): Gauge<Label>
  histogram<Label extends string = never>(options: HistogramOptions<Label>): Histogram<Label>
}

export type MetricKind = 'counter' | 'gauge' | 'histogram'

/** One label set of a metric; `labels` in the order of the metric's names. */
export interface Series {
  labels: string[]
  /** A counter's or gauge's value, a histogram's sum. */
  value: number
  /** How many observations fell into each bucket, the last one without a bound. Empty but for histograms. */
  counts: number[]
}

export interface Family {
  name: string
  help: string
  kind: MetricKind
  labels: string[]
  buckets: number[]
  series: Series[]
}

/** Everything since the isolate's start. */
export interface MetricsSnapshot {
  families: Family[]
  /** Observations that found no label set of their own and went to that of `other`. */
  overflowed: number
}

const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const NAME = /^[a-z][a-z0-9_]{0,127}$/
const MAX_LABELS = 8
const MAX_BUCKETS = 32
const MAX_LABEL_VALUE = 128
/** The value of every label of what found no room. */
const OTHER = 'other'

class Metric {
  readonly family: Family
  readonly #series = new Map<string, Series>()
  readonly #registry: Registry

  constructor(registry: Registry, family: Family) {
    this.#registry = registry
    this.family = family
    // A metric without labels is there from its start, so that a rate can be taken from zero.
    if (family.labels.length === 0) this.at(undefined)
  }

  at(given: Readonly<Record<string, string>> | undefined): Series {
    const labels = this.family.labels.map((label) => {
      const value = given?.[label]
      if (typeof value !== 'string') {
        throw new TypeError(`the metric '${this.family.name}' needs the label '${label}' as a string`)
      }
      return value.slice(0, MAX_LABEL_VALUE)
    })
    this.#registry.changed = true
    return this.#find(labels) ?? this.#overflow(labels)
  }

  #find(labels: string[]): Series | undefined {
    const key = labels.join('\u0000')
    const known = this.#series.get(key)
    // One place is kept for what does not fit.
    if (known !== undefined || this.#series.size >= this.#registry.maxSeries - 1) return known
    return this.#add(key, labels)
  }

  #overflow(labels: string[]): Series {
    this.#registry.overflow(this.family.name, labels)
    const others = labels.map(() => OTHER)
    const key = others.join('\u0000')
    return this.#series.get(key) ?? this.#add(key, others)
  }

  #add(key: string, labels: string[]): Series {
    const counts = this.family.kind === 'histogram' ? new Array<number>(this.family.buckets.length + 1).fill(0) : []
    const series = { labels, value: 0, counts }
    this.#series.set(key, series)
    this.family.series.push(series)
    return series
  }
}

/** The metrics of one isolate. */
export class Registry implements MetricsRegistry {
  readonly #metrics = new Map<string, Metric>()
  readonly #warned = new Set<string>()
  #overflowed = 0
  #maxMetrics = Infinity
  #own = 0
  maxSeries = Infinity
  changed = false

  /** Bounds what is registered from now on; what is there already does not count. */
  limit({ maxMetrics, maxSeries }: { maxMetrics: number; maxSeries: number }) {
    this.#own = this.#metrics.size
    this.#maxMetrics = maxMetrics
    this.maxSeries = maxSeries
  }

  counter<Label extends string = never>(options: MetricOptions<Label>): Counter<Label> {
    const metric = this.#register('counter', options, [])
    return {
      inc(labels, by = 1) {
        if (!(by >= 0) || !Number.isFinite(by)) throw new RangeError(`${options.name}: a counter cannot grow by ${by}`)
        metric.at(labels).value += by
      },
    }
  }

  gauge<Label extends string = never>(options: MetricOptions<Label>): Gauge<Label> {
    const metric = this.#register('gauge', options, [])
    return {
      set(value, labels) {
        metric.at(labels).value = finite(options.name, value)
      },
      add(by, labels) {
        metric.at(labels).value += finite(options.name, by)
      },
    }
  }

  histogram<Label extends string = never>(options: HistogramOptions<Label>): Histogram<Label> {
    const buckets = [...(options.buckets ?? DEFAULT_BUCKETS)]
    const ascends = buckets.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > buckets[i - 1]!))
    if (!ascends || buckets.length === 0 || buckets.length > MAX_BUCKETS) {
      throw new TypeError(`the histogram '${options.name}' needs 1 to ${MAX_BUCKETS} ascending bounds`)
    }
    const metric = this.#register('histogram', options, buckets)
    return {
      observe(value, labels) {
        const series = metric.at(labels)
        const bucket = buckets.findIndex((bound) => finite(options.name, value) <= bound)
        const at = bucket === -1 ? buckets.length : bucket
        series.counts[at] = series.counts[at]! + 1
        series.value += value
      },
    }
  }

  /** Everything, if anything changed since the last call. */
  take(): MetricsSnapshot | null {
    if (!this.changed) return null
    this.changed = false
    return { families: [...this.#metrics.values()].map((metric) => metric.family), overflowed: this.#overflowed }
  }

  overflow(name: string, labels: string[]) {
    this.#overflowed += 1
    if (this.#warned.has(name)) return
    this.#warned.add(name)
    console.warn(
      `the metric '${name}' has ${this.maxSeries} label sets, which is the limit (max_app_metric_series): ` +
        `what has other labels, such as ${JSON.stringify(labels)}, is counted as '${OTHER}'`,
    )
  }

  #register(kind: MetricKind, options: MetricOptions, buckets: number[]): Metric {
    const { name, help, labels = [] } = options
    if (typeof name !== 'string' || !NAME.test(name)) {
      throw new TypeError(`'${name}' is no name of a metric: lower case letters, digits and _ , such as 'hits_total'`)
    }
    if (typeof help !== 'string' || help === '') throw new TypeError(`the metric '${name}' needs a help text`)
    const named = labels.every((label) => NAME.test(label) && label !== 'le')
    if (!named || labels.length > MAX_LABELS || new Set(labels).size < labels.length) {
      throw new TypeError(`the metric '${name}' may have up to ${MAX_LABELS} labels, named as metrics are`)
    }
    const family: Family = { name, help, kind, labels: [...labels], buckets, series: [] }
    const known = this.#metrics.get(name)
    if (known !== undefined) {
      const shape = ({ kind, labels, buckets }: Family) => JSON.stringify([kind, labels, buckets])
      if (shape(known.family) === shape(family)) return known
      throw new TypeError(`there is a metric '${name}' already, with another kind, other labels or other buckets`)
    }
    if (this.#metrics.size >= this.#own + this.#maxMetrics) {
      throw new RangeError(
        `the metric '${name}' is one too many: ${this.#maxMetrics} are the limit (max_app_metrics)`,
      )
    }
    const metric = new Metric(this, family)
    this.#metrics.set(name, metric)
    this.changed = true
    return metric
  }
}

function finite(name: string, value: number): number {
  if (!Number.isFinite(value)) throw new RangeError(`${name}: ${value} is no finite number`)
  return value
}
