import { Command } from 'commander';
export function hubCommand(): Command {
  return new Command('hub');
}
