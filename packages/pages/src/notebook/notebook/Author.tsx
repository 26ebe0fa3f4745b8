/** An author as the server knows one: the beginning of a public key, with a colour made of it. */
export const Author = ({ author, isOwn }: { readonly author: string; readonly isOwn: boolean }) => (
  <span class="author mono">
    <svg class="swatch" viewBox="0 0 8 8" aria-hidden="true">
      <rect width="8" height="8" rx="2" fill={`hsl(${hueOf(author)} 55% 50%)`} />
    </svg>
    <span class="visually-hidden">author </span>
    {author.slice(0, 7)}
    {isOwn && <span class="own"> (this window)</span>}
  </span>
)

const hueOf = (text: string): number =>
  Array.from(text.slice(0, 8)).reduce((sum, letter) => sum * 7 + letter.charCodeAt(0), 0) % 360
