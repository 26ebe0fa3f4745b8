/** Small parts that several views share. */
import type { ComponentChildren } from "preact"
import type { Polled } from "./state.ts"

export const Panel = ({
  title,
  aside,
  children
}: {
  readonly title: string
  readonly aside?: ComponentChildren
  readonly children: ComponentChildren
}) => (
  <div class="panel">
    <header>
      <h2>{title}</h2>
      {aside}
    </header>
    {children}
  </div>
)

/** A table that scrolls by itself if the window is too narrow for it. */
export const Table = ({
  caption,
  head,
  children,
  empty
}: {
  readonly caption: string
  /** The title of each column; one that ends with # holds numbers. */
  readonly head: ReadonlyArray<string>
  readonly children: ReadonlyArray<ComponentChildren>
  readonly empty: string
}) =>
  children.length === 0 ? (
    <p class="empty">{empty}</p>
  ) : (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: without a focus, a keyboard cannot scroll it
    <section class="scroll" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {head.map((title) => (
              <th key={title} scope="col" class={title.endsWith("#") ? "right" : ""}>
                {title.replace("#", "") || <span class="visually-hidden">Actions</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </section>
  )

export const Facts = ({ facts }: { readonly facts: ReadonlyArray<readonly [string, ComponentChildren]> }) => (
  <dl class="facts">
    {facts.map(([name, value]) => (
      <div key={name}>
        <dt>{name}</dt>
        <dd>{value}</dd>
      </div>
    ))}
  </dl>
)

export const Badge = ({
  kind = "plain",
  children
}: {
  readonly kind?: "plain" | "good" | "warning" | "danger"
  readonly children: ComponentChildren
}) => <span class={`badge ${kind}`}>{children}</span>

/** How much of a part of a quota is in use. */
export const QuotaMeter = ({
  atMost,
  label,
  use
}: {
  readonly atMost: number
  readonly label: string
  readonly use: number
}) => (
  <meter
    aria-label={label}
    min={0}
    max={Math.max(atMost, 1)}
    high={atMost * 0.8}
    optimum={0}
    value={atMost === 0 && use > 0 ? 1 : Math.min(use, atMost)}
  />
)

/** The failure of a view's last request. Its older figures stay. */
export const Problem = ({ of }: { readonly of: Polled<unknown> }) =>
  of.error === undefined ? null : (
    <p class="problem" role="alert">
      {of.error.message}
    </p>
  )

export const Loading = ({ of }: { readonly of: Polled<unknown> }) =>
  of.error === undefined ? <p class="empty">Loading…</p> : <Problem of={of} />

export const Crumbs = ({ items }: { readonly items: ReadonlyArray<readonly [string, string]> }) => (
  <nav class="crumbs" aria-label="Path">
    <ol>
      {items.map(([label, href]) => (
        <li key={href}>
          <a href={href}>{label}</a>
        </li>
      ))}
    </ol>
  </nav>
)
