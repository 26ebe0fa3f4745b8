/** The people who are here now. */
import type { Person } from "./session.ts"

export const People = ({ people }: { readonly people: ReadonlyArray<Person> }) => (
  <ul class="people small" aria-label="Here now">
    {people.map(({ color, id, name }, i) => (
      <li key={id}>
        <svg class="swatch" viewBox="0 0 8 8" aria-hidden="true">
          <circle cx="4" cy="4" r="4" fill={color} />
        </svg>
        {name}
        {i === 0 && <span class="muted"> (you)</span>}
      </li>
    ))}
  </ul>
)
