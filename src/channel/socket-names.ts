// Names of the sockets in the private runtime folder. They stand alone: a worker needs the names, and nothing of what listens there.

/** Changes of the table go over it, controller to worker. */
export const CONTROL_SOCKET = 'control.sock';
/** Requests for the API, the dashboard and `ping` go over it, worker to controller. */
export const API_SOCKET = 'api.sock';
