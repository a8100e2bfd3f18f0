/** Arguments and variables as people type them. */

export class WordsError extends Error {}

/** Split like a shell: blanks separate, quotes and backslashes join. Throws WordsError. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | null = null;
  let quote = "";
  for (let index = 0; index < text.length; index += 1) {
    const char = text.charAt(index);
    if (quote) {
      if (char === quote) quote = "";
      else if (char === "\\" && quote === '"' && index + 1 < text.length && '"\\$`'.includes(text.charAt(index + 1))) {
        index += 1;
        word = (word ?? "") + text.charAt(index);
      } else word = (word ?? "") + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (char === "\\" && index + 1 < text.length) {
      index += 1;
      word = (word ?? "") + text.charAt(index);
    } else if (/\s/.test(char)) {
      if (word !== null) words.push(word);
      word = null;
    } else word = (word ?? "") + char;
  }
  if (quote) throw new WordsError(`The arguments end inside a quotation: add the missing ${quote}`);
  if (word !== null) words.push(word);
  return words;
}

/** NAME=value, one a line. Throws WordsError. */
export function parseVariables(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of text.split("\n")) {
    if (!line.trim()) continue;
    const equals = line.indexOf("=");
    const name = line.slice(0, equals).trim();
    if (equals < 1) throw new WordsError(`“${line.trim()}” is no variable: write NAME=value, one a line.`);
    found[name] = line.slice(equals + 1).trim();
  }
  return found;
}
