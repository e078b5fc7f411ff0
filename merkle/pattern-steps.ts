/** One element of a pattern: a quotation, an escape, a set, the start or end of a group, a counted repetition, a character. */
const ELEMENT = /\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\\.|\[:[^\]]*:\]|[^\]\\])*\]|\(|\)|\{(\d+)(?:,(\d*))?\}|./gsu;

/** Upper bound of the size of a pattern of RE2 with its repetitions written out. A match takes time in proportion to it. */
export function patternSteps(pattern: string): number {
  const groups: { total: number; last: number }[] = [{ total: 0, last: 0 }];
  const add = (size: number): void => {
    const group = groups.at(-1)!;
    group.total += size;
    group.last = size;
  };
  for (const [element, least, most] of pattern.matchAll(ELEMENT)) {
    if (element === '(') {
      groups.push({ total: 1, last: 0 });
    } else if (element === ')' && groups.length > 1) {
      add(groups.pop()!.total);
    } else if (least !== undefined) {
      const group = groups.at(-1)!;
      const more = group.last * (Math.max(Number(least), Number(most ?? 0), 1) - 1);
      group.total += more;
      group.last += more;
    } else if (element !== '*' && element !== '+' && element !== '?') {
      add(element.startsWith('\\Q') ? element.length : 1);
    }
  }
  return groups.reduce((sum, { total }) => sum + total, 0);
}
