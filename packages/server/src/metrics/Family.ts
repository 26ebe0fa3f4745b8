/**
 * Families of series: a metric with a name, and one series for each combination of its labels. A series is a plain number that
 * the hot path adds to; Effect's registry of metrics reads it when somebody scrapes or exports
 * (docs/decisions/0020-metrics-as-plain-numbers.md).
 *
 * The values of a label are a closed list. A value that is not in the list counts as `other`, so that no client makes series.
 */
import { Context, Effect, Metric, type Scope } from "effect"

/** The name of each label, with all values that it may have. */
export type LabelValues = Readonly<Record<string, ReadonlyArray<string>>>
type NoLabels = Readonly<Record<never, ReadonlyArray<string>>>
export type Labels<L extends LabelValues> = { readonly [K in keyof L]: L[K][number] }

export interface Declaration<L extends LabelValues> {
  /** By the conventions of Prometheus: the unit at its end, and `_total` for a counter. */
  readonly name: string
  /** One sentence for a person who looks at a graph. */
  readonly description: string
  readonly unit: string
  readonly labels?: L
  /**
   * How the numbers of several workers become those of one server. `each`: they do not, and have the worker as a label. Default:
   * their sum.
   */
  readonly combine?: "sum" | "max" | "each"
  /** The series that exist before anything happens. Default: all combinations, if the metric has one label at most. */
  readonly initially?: ReadonlyArray<Labels<L>>
}

export const OTHER = "other"

interface Series {
  /** Makes the series visible in a registry. */
  readonly register: (context: Context.Context<never>) => Metric.Registration
}

export abstract class Family<S extends Series, L extends LabelValues> {
  abstract readonly type: "counter" | "gauge" | "histogram"
  readonly declaration: Declaration<L>
  private readonly names: ReadonlyArray<string>
  private readonly series = new Map<string, S>()

  constructor(declaration: Declaration<L>) {
    this.declaration = declaration
    this.names = Object.keys(declaration.labels ?? {})
  }

  /** The series of these labels. A caller on the hot path keeps it. */
  at(labels: Labels<L>): S {
    const all: Readonly<Record<string, string>> = labels
    return this.find(this.names.map((name) => all[name] ?? OTHER))
  }

  /** Makes the series that exist before anything happens. */
  protected begin(): this {
    const { initially, labels } = this.declaration
    if (initially !== undefined) for (const values of initially) this.at(values)
    else if (this.names.length === 0) this.find([])
    else if (this.names.length === 1) for (const value of labels?.[this.names[0]!] ?? []) this.find([value])
    return this
  }

  private find(values: ReadonlyArray<string>): S {
    const key = values.join("\n")
    const found = this.series.get(key)
    if (found !== undefined) return found
    const known = values.map((value, i) => (this.allows(i, value) ? value : OTHER))
    if (known.join("\n") !== key) return this.find(known)
    const { description, name, unit } = this.declaration
    const labels = Object.fromEntries(this.names.map((label, i) => [label, values[i]!]))
    // The cast: the names and values are those of the declaration.
    const made = this.make({ name, options: { description, attributes: { ...labels, unit } } }, labels as Labels<L>)
    this.series.set(key, made)
    for (const { context, registrations } of registries.values()) registrations.push(made.register(context))
    return made
  }

  private allows(i: number, value: string): boolean {
    return value === OTHER || (this.declaration.labels?.[this.names[i]!] ?? []).includes(value)
  }

  /** Every series that exists. */
  all(): Iterable<S> {
    return this.series.values()
  }

  protected abstract make(metric: EffectMetric, labels: Labels<L>): S
}

interface EffectMetric {
  readonly name: string
  readonly options: { readonly description: string; readonly attributes: Readonly<Record<string, string>> }
}

const nothing = (): void => {}

export class Counter implements Series {
  count = 0
  private readonly metric: Metric.Counter<number>
  private readonly read: (() => number) | undefined

  /** `read`: for a number that the platform counts. */
  constructor({ name, options }: EffectMetric, read?: () => number) {
    this.metric = Metric.counter(name, { ...options, incremental: true })
    this.read = read
  }

  add(count = 1): void {
    this.count += count
  }

  register(context: Context.Context<never>): Metric.Registration {
    const get = () => ({ count: this.read?.() ?? this.count, incremental: true })
    return Metric.registerUnsafe(this.metric, context, { get, update: nothing, modify: nothing })
  }
}

/** A value that is read at each scrape: the sum of what its readers say. */
export class Gauge implements Series {
  private readonly readers = new Set<() => number>()
  private readonly metric: Metric.Gauge<number>

  constructor({ name, options }: EffectMetric, read?: () => number) {
    this.metric = Metric.gauge(name, options)
    if (read !== undefined) this.readers.add(read)
  }

  /** Adds a reader until the scope closes. It must be quick, and must not throw. */
  read(reader: () => number): Effect.Effect<void, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => void this.readers.add(reader)),
      () => Effect.sync(() => void this.readers.delete(reader))
    )
  }

  register(context: Context.Context<never>): Metric.Registration {
    const get = () => {
      let value = 0
      for (const reader of this.readers) value += reader()
      return { value }
    }
    return Metric.registerUnsafe(this.metric, context, { get, update: nothing, modify: nothing })
  }
}

export class Histogram implements Series {
  private readonly boundaries: ReadonlyArray<number>
  private readonly counts: Float64Array
  private count = 0
  private sum = 0
  private min = Number.POSITIVE_INFINITY
  private max = Number.NEGATIVE_INFINITY
  private readonly metric: Metric.Histogram<number>

  constructor(boundaries: ReadonlyArray<number>, { name, options }: EffectMetric) {
    this.boundaries = boundaries
    this.counts = new Float64Array(boundaries.length)
    this.metric = Metric.histogram(name, { ...options, boundaries })
  }

  observe(value: number): void {
    const { boundaries } = this
    this.count += 1
    this.sum += value
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
    let i = 0
    while (i < boundaries.length && value > boundaries[i]!) i += 1
    if (i < boundaries.length) this.counts[i]! += 1
  }

  register(context: Context.Context<never>): Metric.Registration {
    const get = () => {
      let below = 0
      const buckets = this.boundaries.map((boundary, i): [number, number] => {
        below += this.counts[i]!
        return [boundary, below]
      })
      const { count, max, min, sum } = this
      return { buckets, count, sum, min: count === 0 ? 0 : min, max: count === 0 ? 0 : max }
    }
    return Metric.registerUnsafe(this.metric, context, { get, update: nothing, modify: nothing })
  }
}

type Read<L extends LabelValues> = (labels: Labels<L>) => number

interface Readable<L extends LabelValues> extends Declaration<L> {
  /** Reads a value that the platform keeps, at each scrape. Default: the server's own code says it. */
  readonly read?: Read<L>
}

class CounterFamily<L extends LabelValues> extends Family<Counter, L> {
  readonly type = "counter"
  private readonly read: Read<L> | undefined
  constructor({ read, ...declaration }: Readable<L>) {
    super(declaration)
    this.read = read
    this.begin()
  }
  protected make(metric: EffectMetric, labels: Labels<L>): Counter {
    const { read } = this
    return new Counter(metric, read && (() => read(labels)))
  }
}

class GaugeFamily<L extends LabelValues> extends Family<Gauge, L> {
  readonly type = "gauge"
  private readonly read: Read<L> | undefined
  constructor({ read, ...declaration }: Readable<L>) {
    super(declaration)
    this.read = read
    this.begin()
  }
  protected make(metric: EffectMetric, labels: Labels<L>): Gauge {
    const { read } = this
    return new Gauge(metric, read && (() => read(labels)))
  }
}

class HistogramFamily<L extends LabelValues> extends Family<Histogram, L> {
  readonly type = "histogram"
  private readonly boundaries: ReadonlyArray<number>
  constructor(declaration: Declaration<L>, boundaries: ReadonlyArray<number>) {
    super(declaration)
    this.boundaries = boundaries
    this.begin()
  }
  protected make(metric: EffectMetric): Histogram {
    return new Histogram(this.boundaries, metric)
  }
}

export type AnyFamily = Pick<Family<Series, LabelValues>, "type" | "declaration" | "all">

const families: Array<AnyFamily> = []

const declared = <F extends AnyFamily>(family: F): F => {
  families.push(family)
  return family
}

export const counter = <const L extends LabelValues = NoLabels>(declaration: Readable<L>): Family<Counter, L> =>
  declared(new CounterFamily(declaration))

export const gauge = <const L extends LabelValues = NoLabels>(declaration: Readable<L>): Family<Gauge, L> =>
  declared(new GaugeFamily(declaration))

/** `boundaries`: the upper bounds of its buckets, ascending. */
export const histogram = <const L extends LabelValues = NoLabels>(
  declaration: Declaration<L> & { readonly boundaries: ReadonlyArray<number> }
): Family<Histogram, L> => declared(new HistogramFamily(declaration, declaration.boundaries))

/** Every metric that is declared. */
export const allFamilies = (): ReadonlyArray<AnyFamily> => families

interface Use {
  readonly context: Context.Context<never>
  readonly registrations: Array<Metric.Registration>
  users: number
}

/** The registries that show the series, each with the number of servers that use it. */
const registries = new Map<Metric.MetricRegistry, Use>()

/** Shows all series in the registry of the context (`Metric.MetricRegistry`), until the scope closes. */
export const showMetrics: Effect.Effect<void, never, Scope.Scope> = Effect.gen(function* () {
  const registry = yield* Metric.MetricRegistry
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const use = registries.get(registry) ?? begin(registry)
      use.users += 1
      return use
    }),
    (use) =>
      Effect.sync(() => {
        use.users -= 1
        if (use.users > 0) return
        registries.delete(registry)
        for (const { remove } of use.registrations) remove()
      })
  )
})

const begin = (registry: Metric.MetricRegistry): Use => {
  const context = Context.make(Metric.MetricRegistry, registry)
  const registrations = families.flatMap((family) => Array.from(family.all(), (series) => series.register(context)))
  const use = { context, registrations, users: 0 }
  registries.set(registry, use)
  return use
}
