/** The time of each request, by route, method and status. The server knows all of these names, so they are bounded. */
import type { FastifyInstance } from 'fastify';
import type { Observer } from './metric-set.ts';

/** The same function, which finds the observer of each status once: to find one costs more than the rest of a request. */
export function byStatus(observerOf: (status: number) => Observer): (status: number) => Observer {
  const observers = new Map<number, Observer>();
  return (status) => {
    let observer = observers.get(status);
    if (observer === undefined) {
      observer = observerOf(status);
      observers.set(status, observer);
    }
    return observer;
  };
}

/** @param observerOf called once for each route, method and status; the route is `none` where no route matched */
export function timeRequests(
  app: FastifyInstance,
  observerOf: (route: string, method: string, status: number) => Observer,
): void {
  // By the route's own config object.
  const observers = new WeakMap<object, (status: number) => Observer>();
  app.addHook('onResponse', (request, reply, done) => {
    const { config, url, method } = request.routeOptions;
    let observe = observers.get(config);
    if (observe === undefined) {
      const [route, name] = url === undefined ? ['none', 'any'] : [url.replace('::', ':'), String(method)];
      observe = byStatus((status) => observerOf(route, name, status));
      observers.set(config, observe);
    }
    observe(reply.statusCode).observe(reply.elapsedTime / 1000);
    done();
  });
}
