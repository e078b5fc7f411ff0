/**
 * Loads @peculiar/x509 where it is first needed: it takes 200 ms, and only commands that make certificates need it. Its
 * container of services asks for the polyfill of decorators, and must find it when it loads.
 */

let loading: Promise<typeof import('@peculiar/x509')> | undefined;

export function loadX509(): Promise<typeof import('@peculiar/x509')> {
  loading ??= import('reflect-metadata').then(() => import('@peculiar/x509'));
  return loading;
}
