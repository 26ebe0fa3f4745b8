/** A name that a client has chosen, for a log line: in quotes, escaped, and not too long. An id has at most 400 UTF-16 units. */
export const shownName = (name: string): string =>
  JSON.stringify(name.slice(0, MAX_SHOWN)).replace(CONTROLS, (control) => `\\u${hex(control)}`)

const MAX_SHOWN = 500

/** JSON leaves these as they are: a terminal obeys the first ones, and takes the others for line ends. */
const CONTROLS = /[\u007f-\u009f\u2028\u2029]/g

const hex = (control: string): string => control.charCodeAt(0).toString(16).padStart(4, "0")
