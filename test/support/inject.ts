/** Requests to an app without a socket. */
import { type DispatchFunc, type InjectOptions, inject, type Response } from 'light-my-request';
import type { App } from '../../merkle/runtime/service/app.ts';

export interface Injectable extends App {
  inject(options: InjectOptions | string): Promise<Response>;
}

export function injectable(app: App): Injectable {
  const dispatch: DispatchFunc = (request, response) => {
    // The whole body is there at once, so there is nothing to wait for.
    const { socket } = request as unknown as { socket: object };
    Object.assign(socket, { pause: () => {}, resume: () => {} });
    app.server.emit('request', request, response);
  };
  return Object.assign(app, { inject: (options: InjectOptions | string) => inject(dispatch, options) });
}
