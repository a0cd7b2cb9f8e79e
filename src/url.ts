// Whether a text is a URL. `URL.canParse` alone will not do: Node 20 has a quick form of it, in use after some thousand calls, that takes Latin-1
// for UTF-8, and so says no to names outside ASCII now and then.

/** The URL that a text is, by the URL standard; undefined when it is none. */
export function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    // It is none.
    return undefined;
  }
}

/** The same question without the URL, which costs less. */
export function isUrl(text: string): boolean {
  return /^[\u0000-\u007f]*$/.test(text) ? URL.canParse(text) : parseUrl(text) !== undefined;
}
