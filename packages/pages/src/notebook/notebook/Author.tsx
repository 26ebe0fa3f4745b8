/** An author as the server knows one: the beginning of a public key. The window knows the colour of the person, the server does not. */
export const Author = ({
  author,
  color = "var(--line-strong)",
  isOwn
}: {
  readonly author: string
  /** undefined: the person was not here since the window opened. */
  readonly color: string | undefined
  readonly isOwn: boolean
}) => (
  <span class="author mono">
    <svg class="swatch" viewBox="0 0 8 8" aria-hidden="true">
      <rect width="8" height="8" rx="2" fill={color} />
    </svg>
    <span class="visually-hidden">author </span>
    {author.slice(0, 7)}
    {isOwn && <span class="own"> (this window)</span>}
  </span>
)
