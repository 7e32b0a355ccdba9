/** How a field of the form looks: a label that belongs to its input, help, errors. */
import {
  deleteIcon,
  moveDownIcon,
  moveUpIcon,
  type LabIcon
} from '@jupyterlab/ui-components';
import type {
  ArrayFieldTemplateProps,
  FieldTemplateProps,
  ObjectFieldTemplateProps
} from '@rjsf/utils';
import * as React from 'react';

function Errors(props: { id: string; errors: string[] }): JSX.Element | null {
  if (props.errors.length === 0) {
    return null;
  }
  return (
    <ul className="kl-errors" id={`${props.id}__error`} role="alert">
      {props.errors.map(error => (
        <li key={error}>{error}</li>
      ))}
    </ul>
  );
}

function Field(props: FieldTemplateProps): JSX.Element {
  const { id, schema, rawErrors = [], label } = props;
  const isItem = schema.type !== 'object' && /_\d+$/.test(id);
  if (id === 'root') {
    return props.children;
  }
  if (isItem) {
    return (
      <div className="kl-item">
        {props.children}
        <Errors id={id} errors={rawErrors} />
      </div>
    );
  }
  const isList = kindOf(schema.type) === 'array';
  const isSwitch = kindOf(schema.type) === 'boolean';
  const title = isList ? (
    <span className="kl-label" id={`${id}__title`}>
      {label}
    </span>
  ) : (
    <label className="kl-label" htmlFor={id}>
      {label}
    </label>
  );
  return (
    <div
      className={`kl-field${rawErrors.length ? ' kl-mod-error' : ''}${isSwitch ? ' kl-mod-switch' : ''}`}
      role={isList ? 'group' : undefined}
      aria-labelledby={isList ? `${id}__title` : undefined}
    >
      {!isSwitch && title}
      <div className="kl-input">
        {props.children}
        {isSwitch && title}
      </div>
      {schema.description && (
        <p className="kl-help" id={`${id}__description`}>
          {schema.description}
        </p>
      )}
      <Errors id={id} errors={rawErrors} />
    </div>
  );
}

function List(props: ArrayFieldTemplateProps): JSX.Element {
  return (
    <div className="kl-list">
      {props.items.map(item => {
        const { index, onReorderClick, onDropIndexClick } = item;
        const name = `${props.title} ${index + 1}`;
        return (
          <div className="kl-list-item" key={item.key}>
            {item.children}
            <IconButton
              icon={moveUpIcon}
              label={`Move ${name} up`}
              disabled={!item.hasMoveUp}
              onClick={onReorderClick(index, index - 1)}
            />
            <IconButton
              icon={moveDownIcon}
              label={`Move ${name} down`}
              disabled={!item.hasMoveDown}
              onClick={onReorderClick(index, index + 1)}
            />
            <IconButton
              icon={deleteIcon}
              label={`Remove ${name}`}
              disabled={false}
              onClick={onDropIndexClick(index)}
            />
          </div>
        );
      })}
      {props.canAdd && (
        <button
          type="button"
          className="jp-mod-styled kl-small"
          aria-label={`Add to ${props.title}`}
          onClick={props.onAddClick}
        >
          Add
        </button>
      )}
    </div>
  );
}

function IconButton(props: {
  icon: LabIcon;
  label: string;
  disabled: boolean;
  onClick: (event?: React.MouseEvent) => void;
}): JSX.Element {
  return (
    <button
      type="button"
      className="kl-icon"
      title={props.label}
      aria-label={props.label}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      <props.icon.react tag="span" width="16px" />
    </button>
  );
}

function Fields(props: ObjectFieldTemplateProps): JSX.Element {
  return (
    <div className="kl-fields">
      {props.properties.map(each => each.content)}
    </div>
  );
}

function kindOf(type: unknown): unknown {
  return Array.isArray(type) ? type.find(each => each !== 'null') : type;
}

export const formTemplates = {
  FieldTemplate: Field,
  ArrayFieldTemplate: List,
  ObjectFieldTemplate: Fields
};
