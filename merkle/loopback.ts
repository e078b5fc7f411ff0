/** Addresses and names that mean another machine to everybody who reads them. */

/** Whether the URL is on this machine: nobody else reaches the service there. */
export function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return /^(?:(?:.*\.)?localhost\.?|\[::1?\]|127(?:\.[0-9]+){3}|0\.0\.0\.0)$/.test(hostname);
}

/** Whether a log or a witness has the name of one that is only tried. */
export function isTrialName(name: string): boolean {
  return /^(?:.*\.)?localhost(?:$|\/)/.test(name);
}
