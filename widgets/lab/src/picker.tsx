/** A text field for a network or data: built-in names as suggestions, files by Jupyter's dialog. */
import { PathExt } from '@jupyterlab/coreutils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import { FileDialog } from '@jupyterlab/filebrowser';
import type { WidgetProps } from '@rjsf/utils';
import * as React from 'react';

export type PickerContext = {
  /** Names and what they mean. */
  names: {
    models: { [name: string]: string };
    data: { [name: string]: string };
  };
  /** The folder that paths are relative to. */
  folder: string;
  manager: IDocumentManager | null;
};

export function Picker(props: WidgetProps): JSX.Element {
  const context = props.formContext as PickerContext;
  const isModel = props.options.kind === 'model';
  const names = isModel ? context.names.models : context.names.data;
  const browse = async (folder: boolean): Promise<void> => {
    const path = await ask(context, folder);
    if (path !== null) {
      props.onChange(isModel ? path : `${prefixOf(path, folder)}${path}`);
    }
  };
  return (
    <div className="kl-picker">
      <input
        id={props.id}
        className="form-control"
        type="text"
        list={`${props.id}-names`}
        value={(props.value as string | undefined) ?? ''}
        required={props.required}
        aria-describedby={`${props.id}__error ${props.id}__description`}
        aria-invalid={Boolean(props.rawErrors?.length)}
        onChange={event =>
          props.onChange(
            event.target.value === ''
              ? props.options.emptyValue
              : event.target.value
          )
        }
      />
      <datalist id={`${props.id}-names`}>
        {Object.entries(names)
          .filter(([name]) => !name.includes(':'))
          .map(([name, description]) => (
            <option key={name} value={name}>
              {description}
            </option>
          ))}
      </datalist>
      {context.manager && (
        <button
          type="button"
          className="jp-mod-styled"
          aria-label={`Choose a file for ${props.label}`}
          onClick={() => void browse(false)}
        >
          File…
        </button>
      )}
      {context.manager && !isModel && (
        <button
          type="button"
          className="jp-mod-styled"
          aria-label={`Choose a folder for ${props.label}`}
          onClick={() => void browse(true)}
        >
          Folder…
        </button>
      )}
    </div>
  );
}

/** How `kernel_lib.data.load` wants to hear of a file or folder. */
export function prefixOf(path: string, folder: boolean): string {
  const kinds: { [extension: string]: string } = {
    '.npz': 'npz:',
    '.csv': 'table:'
  };
  return folder
    ? 'folder:'
    : (kinds[PathExt.extname(path).toLowerCase()] ?? 'photos:');
}

async function ask(
  context: PickerContext,
  folder: boolean
): Promise<string | null> {
  if (context.manager === null) {
    return null;
  }
  const options = {
    manager: context.manager,
    defaultPath: context.folder,
    title: folder ? 'Choose a folder' : 'Choose a file'
  };
  const answer = folder
    ? await FileDialog.getExistingDirectory(options)
    : await FileDialog.getOpenFiles(options);
  const chosen = answer.button.accept ? answer.value?.[0] : undefined;
  if (!chosen) {
    return null;
  }
  return PathExt.relative(context.folder, chosen.path) || '.';
}
