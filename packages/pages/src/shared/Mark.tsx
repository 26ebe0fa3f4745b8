/** The mark of the product: two links of a chain, as in icon.svg. */
export const Mark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect x="2" y="9" width="16" height="14" rx="7" />
    <rect x="14" y="9" width="16" height="14" rx="7" />
  </svg>
)
