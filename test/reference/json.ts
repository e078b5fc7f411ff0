/** JSON, read by the grammar of RFC 8259 from its first to its last character. */

/**
 * Objects are maps. Undefined unless `bytes` are UTF-8 JSON, nested at most `depth` levels deep, where no object has a member
 * twice.
 */
export function readJson(bytes: Buffer, depth: number): unknown {
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes)) return undefined;
  try {
    return new JsonReader(text, depth).whole();
  } catch {
    return undefined;
  }
}

class JsonReader {
  at = 0;
  readonly text: string;
  readonly depth: number;

  constructor(text: string, depth: number) {
    this.text = text;
    this.depth = depth;
  }

  whole(): unknown {
    const value = this.value(0);
    if (this.at !== this.text.length) throw new Error('more');
    return value;
  }

  take(pattern: RegExp): string {
    const sticky = new RegExp(pattern.source, 'y');
    sticky.lastIndex = this.at;
    const match = sticky.exec(this.text);
    if (match === null) throw new Error(`no ${pattern.source} at ${this.at}`);
    this.at += match[0].length;
    return match[0];
  }

  space(): void {
    this.take(/[ \t\n\r]*/);
  }

  value(level: number): unknown {
    this.space();
    const value = this.bare(level);
    this.space();
    return value;
  }

  bare(level: number): unknown {
    const next = this.text[this.at];
    if (next === '"') return this.string();
    if (next === '{' || next === '[') {
      if (level === this.depth) throw new Error('too deep');
      this.at++;
      return next === '{' ? this.members(level + 1) : this.items(level + 1);
    }
    const word = this.take(/true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/);
    return word === 'null' ? null : word === 'true' ? true : word === 'false' ? false : Number(word);
  }

  string(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what no string has
    const raw = this.take(/"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/);
    return raw.slice(1, -1).replace(/\\(?:u(....)|(.))/g, (_, unit?: string, letter?: string) => {
      if (unit !== undefined) return String.fromCharCode(Number.parseInt(unit, 16));
      return ({ b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' } as Record<string, string>)[letter!] ?? letter!;
    });
  }

  members(level: number): Map<string, unknown> {
    const members = new Map<string, unknown>();
    this.space();
    if (this.text[this.at] === '}') this.at++;
    else {
      do {
        this.space();
        const name = this.string();
        if (members.has(name)) throw new Error('twice');
        this.space();
        this.take(/:/);
        members.set(name, this.value(level));
      } while (this.take(/[,}]/) === ',');
    }
    return members;
  }

  items(level: number): unknown[] {
    const items: unknown[] = [];
    this.space();
    if (this.text[this.at] === ']') this.at++;
    else
      do items.push(this.value(level));
      while (this.take(/[,\]]/) === ',');
    return items;
  }
}
