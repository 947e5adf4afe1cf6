// The questions: what each asks, what it takes, and how its classes are spoken of.

export const PANELS = [
  {
    id: "voice-gender",
    tab: "Voice gender",
    short: "Male or female?",
    title: "Is this voice male or female?",
    about: "A recording of one voice. The answer is how the voice sounds to a listener, not who the speaker is.",
    takes: "audio",
    words: { female: "Female", male: "Male" },
  },
  {
    id: "face-gender",
    tab: "Face gender",
    short: "Male or female?",
    title: "Is this face male or female?",
    about: "A picture with a face. Of several faces the largest is looked at.",
    takes: "picture",
    words: { female: "Female", male: "Male" },
  },
  {
    id: "heart-sound",
    tab: "Heart",
    short: "Normal, or a murmur?",
    title: "What does this heart sound show?",
    about: "A recording of a heart. No diagnosis. The answer is kept as the latest prediction.",
    takes: "audio",
    words: {
      Normal: "Normal",
      Murmur: "Murmur",
      Artifact: "Artifact",
      Extrahls: "Extra heart sound",
      Extrastole: "Extrasystole",
    },
  },
  {
    id: "audio-scene",
    tab: "Scene",
    short: "Speech, music or noise?",
    title: "Is this speech, music, noise or silence?",
    about: "A recording of anything. A long one is answered piece by piece.",
    takes: "audio",
    url: true,
    words: { speech: "Speech", music: "Music", noise: "Noise", silence: "Silence" },
  },
  {
    id: "ai-voice",
    tab: "AI voice",
    short: "A human or an AI?",
    title: "Did a human or an AI speak this?",
    about: "A recording of a voice. The first 30 seconds of speech count, and three models vote.",
    takes: "audio",
    words: { HUMAN: "Human", AI_GENERATED: "AI-generated" },
  },
];

const capitalised = (name) => name[0].toUpperCase() + name.slice(1);

/** Adds the panel of a further question, of which the server says what its model says of itself. */
export function addPanel({ id, tab, title, about, takes, classes }) {
  const words = Object.fromEntries(classes.map((name) => [name, capitalised(name)]));
  const short = classes.length < 4 ? `${capitalised(classes.join(" or "))}?` : `${classes.length} classes`;
  PANELS.push({ id, tab, short, title, about, takes, words });
}

/** How a class is spoken of; weights from elsewhere may bring classes of their own. */
export const spoken = (panel, name) => panel.words[name] ?? name;
