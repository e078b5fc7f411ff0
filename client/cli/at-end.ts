/** What a command leaves open until it ends, such as connections that would keep the process alive. */
const closers: (() => Promise<void>)[] = [];

export function atEnd(close: () => Promise<void>): void {
  closers.push(close);
}

/** Closes all of it. Never rejects: the command has its result by then. */
export async function closeAtEnd(): Promise<void> {
  await Promise.allSettled(closers.splice(0).map((close) => close()));
}
