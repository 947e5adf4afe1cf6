// The five panels: what each asks, what it takes, and how its classes are spoken of.

const AUDIO = "audio/*,.mp3,.wav,.webm,.ogg,.flac,.m4a,.aac";
const ANY_AUDIO = "WAV, FLAC, MP3, Ogg, WebM, M4A or AAC";

export const PANELS = [
  {
    id: "voice-gender",
    tab: "Voice gender",
    title: "Is this voice male or female?",
    about: `A recording of one voice: ${ANY_AUDIO}. The answer is how the voice sounds to a listener, not who somebody is.`,
    accept: AUDIO,
    takes: "audio",
    words: { female: "Female", male: "Male" },
  },
  {
    id: "face-gender",
    tab: "Face gender",
    title: "Is this face male or female?",
    about: "A picture with a face: JPEG, PNG, WebP, BMP or GIF. Of several faces the largest is looked at.",
    accept: "image/*",
    takes: "picture",
    words: { female: "Female", male: "Male" },
  },
  {
    id: "heart-sound",
    tab: "Heart",
    title: "What does this heart sound show?",
    about: `A recording of a heart: ${ANY_AUDIO}. No diagnosis. The answer is kept as the latest prediction.`,
    accept: AUDIO,
    takes: "audio",
    words: {
      Artifact: "Artifact",
      Murmur: "Murmur",
      Normal: "Normal",
      Extrahls: "Extra heart sound",
      Extrastole: "Extrasystole",
    },
  },
  {
    id: "audio-scene",
    tab: "Scene",
    title: "Is this speech, music, noise or silence?",
    about: `A recording of anything: ${ANY_AUDIO}. A long one is answered piece by piece.`,
    accept: AUDIO,
    takes: "audio",
    url: true,
    words: { speech: "Speech", music: "Music", noise: "Noise", silence: "Silence" },
  },
  {
    id: "ai-voice",
    tab: "AI voice",
    title: "Did a human or an AI speak this?",
    about: `A recording of a voice: ${ANY_AUDIO}. The first 30 seconds count. Three models vote.`,
    accept: AUDIO,
    takes: "audio",
    key: true,
    words: { HUMAN: "Human", AI_GENERATED: "AI-generated" },
  },
];

export const PROBLEMS = {
  too_short: "it is short",
  too_quiet: "it is very quiet",
  too_noisy: "there is much noise in it",
  no_heart_beat: "no heart beat was found in it",
};
