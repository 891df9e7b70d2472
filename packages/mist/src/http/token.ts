// Tokens (RFC 9110 §5.6.2): methods, field names, members of many lists.

/** The source of a pattern for one character of a token. */
export const tokenCharacter = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]";

const whole = new RegExp(`^${tokenCharacter}+$`);

/** Whether this is a token: one or more token characters, and nothing else. */
export function isToken(text: string): boolean {
  return whole.test(text);
}
