/**
 * Asks an app for a library's token, as its client does. No answer comes if the app has ended: the store does not handle the
 * failure, and a request may be on its way when a test ends.
 */
export const askForToken = (url: string, headers: Readonly<Record<string, string>> = {}): Promise<string> =>
  fetch(url, { headers }).then(
    async (response) => ((await response.json()) as { readonly accessToken: string }).accessToken,
    () => new Promise<string>(() => {})
  )
